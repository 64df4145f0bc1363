"""The core cases of `state::*` over every adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.adapters import KINDS, adapter, call
from tests.support.desk import Desk, running
from tests.support.waiting import until

from iii_engine.modules.state import StateModule
from iii_sdk.errors import BusError

STATE_KINDS = [*KINDS, "bridge"]

ODD = ["", "a:b", "a/b", "Ä 😀", "x\x00y", "*?[]", "k" * 300]


@pytest.fixture(params=STATE_KINDS)
async def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"adapter": adapter(request.param, request)}


@pytest.fixture
async def desk(options: dict[str, Any]) -> AsyncIterator[Desk]:
    async with running(StateModule, options, trigger_type="state") as desk:
        yield desk


def record(key: str = "k", scope: str = "s", **more: object) -> dict[str, object]:
    return {"scope": scope, "key": key, **more}


async def test_a_record_comes_changes_and_goes(desk: Desk) -> None:
    assert await call(desk, "state::get", record()) is None
    first = await call(desk, "state::set", record(value={"n": 1}))
    assert first == {"old_value": None, "new_value": {"n": 1}}
    second = await call(desk, "state::set", record(value=[]))
    assert second == {"old_value": {"n": 1}, "new_value": []}
    assert await call(desk, "state::get", record()) == []
    assert await call(desk, "state::delete", record()) == []
    assert await call(desk, "state::delete", record()) is None


async def test_empty_objects_and_lists_stay_what_they_are(desk: Desk) -> None:
    await call(desk, "state::set", record(value={"a": {}, "b": [], "c": None, "d": 1.0}))
    ops = [{"type": "set", "path": "e", "value": {}}]
    answer = await call(desk, "state::update", record(ops=ops))
    assert answer["new_value"] == {"a": {}, "b": [], "c": None, "d": 1.0, "e": {}}
    assert await call(desk, "state::get", record()) == answer["new_value"]


async def test_operations_report_what_failed(desk: Desk) -> None:
    ops = [
        {"type": "increment", "path": "n", "by": 2},
        {"type": "append", "path": "n", "value": 1},
        {"type": "append", "path": "list", "value": 1},
    ]
    answer = await call(desk, "state::update", record(ops=ops))
    assert answer["new_value"] == {"n": 2, "list": [1]}
    assert [error["code"] for error in answer["errors"]] == ["append.type_mismatch"]


async def test_conditions_hold_atomically(desk: Desk) -> None:
    await call(desk, "state::set", record(value={"v": 1}))
    changes = [
        call(desk, "state::set", record(value={"v": 2, "by": n}, expect={"v": 1})) for n in range(5)
    ]
    answers = await asyncio.gather(*changes)
    assert [answer["applied"] for answer in answers] == [True, False, False, False, False]
    assert await call(desk, "state::get", record()) == {"v": 2, "by": 0}
    kept = await call(desk, "state::set", record(value=3, if_absent=True))
    assert kept["set"] is False


async def test_lists_are_in_the_order_of_insertion(desk: Desk) -> None:
    for key in ("b", "a", "c"):
        await call(desk, "state::set", record(key, value=key))
    await call(desk, "state::set", record("b", value="B"))
    assert await call(desk, "state::list", {"scope": "s"}) == ["B", "a", "c"]
    await call(desk, "state::delete", record("b"))
    await call(desk, "state::set", record("b", value="again"))
    listed = await call(desk, "state::list", {"scope": "s", "include_keys": True, "limit": 2})
    assert listed == [{"key": "a", "value": "a"}, {"key": "c", "value": "c"}]
    rest = await call(desk, "state::list", {"scope": "s", "offset": 2})
    assert rest == ["again"]
    assert await call(desk, "state::list_keys", {"scope": "s"}) == {"keys": ["a", "c", "b"]}
    assert await call(desk, "state::list", {"scope": "none"}) == []


async def test_groups_are_the_scopes_with_records(desk: Desk) -> None:
    for scope in ("t", "s"):
        await call(desk, "state::set", record(scope=scope, value=1))
        await call(desk, "state::set", record("other", scope=scope, value=1))
    assert await call(desk, "state::list_groups") == {"groups": ["s", "t"]}
    assert await call(desk, "state::delete_scope", {"scope": "s"}) == {"deleted": 2}
    assert await call(desk, "state::list_groups") == {"groups": ["t"]}
    assert await call(desk, "state::get", record()) is None


async def test_any_text_is_a_scope_and_a_key(desk: Desk) -> None:
    for name in ODD:
        await call(desk, "state::set", record(name, name, value=name))
        await call(desk, "state::set", record("k", name, value=1))
    for name in ODD:
        assert await call(desk, "state::get", record(name, name)) == name
        keys = await call(desk, "state::list_keys", {"scope": name})
        assert keys == {"keys": list(dict.fromkeys([name, "k"]))}
    groups = await call(desk, "state::list_groups")
    assert groups == {"groups": sorted(ODD)}


async def test_a_large_record(desk: Desk) -> None:
    text = "x" * 1_000_000  # NATS takes 1 MiB with all that is around it
    await call(desk, "state::set", record(value=text))
    assert await call(desk, "state::get", record()) == text
    assert await call(desk, "state::list", {"scope": "s"}) == [text]


async def test_changes_are_told_to_triggers(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen", {"scope": "s"})
    await call(desk, "state::set", record(value=1))
    await call(desk, "state::delete", record())
    await call(desk, "state::delete", record())
    await until(lambda: len(desk.payloads("seen")) == 2)
    seen = [(event["event_type"], event["old_value"]) for event in desk.payloads("seen")]
    assert seen == [("state:created", None), ("state:deleted", 1)]


@pytest.mark.parametrize("kind", STATE_KINDS[1:])
async def test_two_engines_count_to_the_exact_sum(
    kind: str, request: pytest.FixtureRequest
) -> None:
    options = {"adapter": adapter(kind, request)}
    ops = [{"type": "increment", "path": "n", "by": 1}]
    async with running(StateModule, options) as one, running(StateModule, options) as other:
        counts = [
            call(desk, "state::update", record(ops=ops))
            for _ in range(100)
            for desk in (one, other)
        ]
        answers = await asyncio.gather(*counts)
        assert sorted(answer["new_value"]["n"] for answer in answers) == list(range(1, 201))
        assert await call(one, "state::get", record()) == {"n": 200}


async def test_a_transaction_is_whole_or_refused(options: dict[str, Any], desk: Desk) -> None:
    entries = [{"op": "set", **record(key, value=1)} for key in ("a", "b")]
    if options["adapter"]["name"] == "nats":
        with pytest.raises(BusError, match="several") as refused:
            await call(desk, "state::transact", {"ops": entries})
        assert refused.value.code == "not_supported"
        assert await call(desk, "state::list", {"scope": "s"}) == []
    else:
        done = await call(desk, "state::transact", {"ops": entries})
        assert done["applied"] is True
        unmet = {"op": "delete", **record("a", expect={"x": 1})}
        undone = await call(desk, "state::transact", {"ops": [*entries[1:], unmet]})
        assert undone == {"applied": False, "results": [], "failed_index": 1}
    single = [{"op": "set", **record("c", value=1)}, {"op": "set", **record("c", value=2)}]
    assert (await call(desk, "state::transact", {"ops": single}))["applied"] is True
    assert await call(desk, "state::get", record("c")) == 2
