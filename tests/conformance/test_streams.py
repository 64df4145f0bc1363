"""Published clients keep streams, guard them, and hear of their changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients import ask
from tests.support.engine import RunningEngine
from tests.support.published import CLIENTS, PublishedClient, published_client
from tests.support.stream_client import StreamClient, upgrade
from tests.support.waiting import until


class Keeper:
    """A published client that keeps the stream `kept-<kind>`, and the engine it is connected to."""

    def __init__(self, kind: str, engine: RunningEngine, client: PublishedClient) -> None:
        self.kind = kind
        self.engine = engine
        self.client = client
        self.stream = f"kept-{kind}"

    async def call(self, op: str, **data: Any) -> Any:
        """What the client gets from `stream::<op>` on its stream."""
        answer = await ask(self.client, f"stream::{op}", {"stream_name": self.stream, **data})
        return answer.get("result", answer.get("error"))

    async def heard(self) -> Any:
        return (await ask(self.client, f"{self.kind}::heard", {}))["result"]

    def watch(self, **headers: str) -> StreamClient:
        return StreamClient(f"{self.engine.stream_url}/?a=b", headers)


@pytest.fixture(params=CLIENTS)
async def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Keeper]:
    kind = request.param
    engine = RunningEngine({"iii-stream": {"auth_function": f"{kind}::auth"}})
    await engine.start()
    client = published_client(kind, engine.url, tmp_path, program="streams")
    bound = engine.core.triggers
    try:
        await until(lambda: len([t for t in bound if t.function_id.startswith(f"{kind}::")]) == 3)
        yield Keeper(kind, engine, client)
    finally:
        code = await asyncio.to_thread(client.close)
        await engine.stop()
    assert code == 0


async def test_a_stream_that_a_client_keeps_is_read_and_written(keeper: Keeper) -> None:
    item = {"group_id": "g", "item_id": "1"}
    assert await keeper.call("get", **item) is None
    written = await keeper.call("set", **item, data={"n": 1})
    assert written == {"old_value": None, "new_value": {"n": 1}}
    assert await keeper.call("get", **item) == {"n": 1}
    assert await keeper.call("list", group_id="g") == [{"n": 1}]
    assert await keeper.call("list_groups") == ["g"]
    assert await keeper.call("delete", **item) == {"old_value": {"n": 1}}
    assert await keeper.call("list", group_id="g") == []
    changes = (await keeper.heard())["changed"]
    assert [(e["id"], e["event"]) for e in changes] == [
        ("1", {"type": "create", "data": {"n": 1}}),
        ("1", {"type": "delete", "data": {"n": 1}}),
    ]
    assert {(e["type"], e["streamName"], e["groupId"]) for e in changes} == {
        ("stream", keeper.stream, "g")
    }


async def test_updates_are_the_engines(keeper: Keeper) -> None:
    item = {"group_id": "g", "item_id": "1"}
    ops = [
        {"type": "set", "path": "name", "value": "a"},
        {"type": "increment", "path": "n", "by": 2},
        {"type": "merge", "path": ["deep", "er"], "value": {"x": 1}},
        {"type": "increment", "path": "name", "by": 1},
    ]
    updated = await keeper.call("update", **item, ops=ops)
    assert updated["new_value"] == {"name": "a", "n": 2, "deep": {"er": {"x": 1}}}
    assert [error["code"] for error in updated["errors"]] == ["increment.not_number"]


async def test_clients_guard_who_watches(keeper: Keeper) -> None:
    assert await upgrade(keeper.engine.stream_url) == 401
    await keeper.call("set", group_id="g", item_id="1", data=1)
    async with keeper.watch(**{"X-User": "ann"}) as watching:
        refused = await watching.join(keeper.stream, "secret", subscription="no")
        assert refused["event"] == {"type": "unauthorized"}
        assert (await watching.join(keeper.stream, "g"))["event"] == {"type": "sync", "data": [1]}
        item = await watching.join(keeper.stream, "g", "1", subscription="s2")
        assert item["event"] == {"type": "sync", "data": 1}
        await keeper.call("set", group_id="g", item_id="1", data=2)
        changed = await watching.next()
        assert changed["event"] == {"type": "update", "data": 2}
        assert changed["subscriptionIds"] == ["s1", "s2"]
        await keeper.call("send", group_id="g", type="typing", data={"u": 1})
        sent = await watching.event()
        assert sent == {"type": "event", "event": {"type": "typing", "data": {"u": 1}}}
        await watching.leave(keeper.stream, "g", subscription="s2")

    async def all_left() -> bool:
        return len((await keeper.heard())["left"]) == 2

    await until(all_left)
    heard = await keeper.heard()
    context = {"user": "ann", "query": {"a": ["b"]}}
    visit = {"stream_name": keeper.stream, "group_id": "g", "context": context}
    assert [{**left, "_caller_worker_id": ""} for left in heard["left"]] == [
        {"subscription_id": "s2", "id": "1", **visit, "_caller_worker_id": ""},
        {"subscription_id": "s1", "id": None, **visit, "_caller_worker_id": ""},
    ]
    assert [joined["group_id"] for joined in heard["joined"]] == ["secret", "g", "g"]
