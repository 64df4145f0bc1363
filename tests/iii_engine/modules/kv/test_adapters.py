"""`kv_server::*` over the adapters, which are an extension."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.adapters import KINDS, adapter, call
from tests.support.desk import Desk, running

from iii_engine.modules.kv import KvModule


@pytest.fixture(params=KINDS)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with running(KvModule, {"adapter": adapter(request.param, request)}) as desk:
        yield desk


def entry(index: str = "a1", key: str = "k", **more: object) -> dict[str, object]:
    return {"index": index, "key": key, **more}


async def test_an_entry_comes_changes_and_goes(desk: Desk) -> None:
    first = await call(desk, "kv_server::set", entry(value={"n": 1}))
    assert first == {"old_value": None, "new_value": {"n": 1}}
    ops = [{"type": "increment", "path": "n", "by": 2}]
    changed = await call(desk, "kv_server::update", entry(ops=ops))
    assert changed == {"old_value": {"n": 1}, "new_value": {"n": 3}}
    await call(desk, "kv::set", entry(key="other", value=None))
    assert await call(desk, "kv_server::list", {"index": "a1"}) == [{"n": 3}, None]
    assert await call(desk, "kv_server::delete", entry()) == {"old_value": {"n": 3}}
    assert await call(desk, "kv_server::get", entry()) is None


async def test_modules_case_75_indexes_have_names(desk: Desk) -> None:
    for index in ("a2", "a1", "b", "a*"):
        await call(desk, "kv_server::set", entry(index, value=1))
    find = "kv_server::list_keys_with_prefix"
    assert await call(desk, find, {"prefix": "a"}) == ["a*", "a1", "a2"]
    assert await call(desk, find, {"prefix": "a*"}) == ["a*"]
