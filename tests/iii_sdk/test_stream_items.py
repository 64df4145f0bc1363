"""Streams as workers keep and use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from tests.support.engine import RunningEngine
from tests.support.served import served
from tests.support.stream_client import StreamClient

from iii_sdk import StreamStore, Worker, on_stream
from iii_sdk.state import increment
from iii_sdk.stream_items import GroupRef, ItemRef, NewItem, Removed, Replaced, StreamRef


@pytest.fixture
async def engine() -> AsyncIterator[RunningEngine]:
    """A whole engine: streams are a module of it."""
    running = RunningEngine()
    await running.start()
    yield running
    await running.stop()


class Note(msgspec.Struct):
    text: str


class Kept(StreamStore):
    """Items in a dictionary."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Any] = {}

    async def get(self, item: ItemRef) -> Any:
        return self.items.get((item.group_id, item.item_id))

    async def set(self, item: NewItem) -> Replaced:
        key = (item.group_id, item.item_id)
        old, self.items[key] = self.items.get(key), item.data
        return Replaced(old, item.data)

    async def delete(self, item: ItemRef) -> Removed:
        return Removed(self.items.pop((item.group_id, item.item_id), None))

    async def list(self, group: GroupRef) -> Sequence[Any]:
        return [value for (id, _), value in self.items.items() if id == group.group_id]

    async def list_groups(self, stream: StreamRef) -> Sequence[str]:
        return sorted({group for group, _ in self.items})


async def test_a_worker_keeps_a_stream(engine: RunningEngine) -> None:
    worker = Worker("keeper")
    worker.stream("notes", Kept())
    item = {"stream_name": "notes", "group_id": "g", "item_id": "1"}
    async with served(engine, worker) as bus:
        assert await bus.call("stream::get(notes)", item) is None
        written = await bus.call("stream::set(notes)", {**item, "data": {"a": 1}})
        assert written == {"old_value": None, "new_value": {"a": 1}}
        assert await bus.call("stream::get(notes)", item) == {"a": 1}
        group = {"stream_name": "notes", "group_id": "g"}
        assert await bus.call("stream::list(notes)", group) == [{"a": 1}]
        assert await bus.call("stream::list_groups(notes)", {"stream_name": "notes"}) == ["g"]
        assert await bus.call("stream::delete(notes)", item) == {"old_value": {"a": 1}}
        assert "stream::update(notes)" not in engine.core.registry
    with pytest.raises(ValueError, match="already registered"):
        worker.stream("notes", Kept())


async def test_items_are_read_and_written(engine: RunningEngine) -> None:
    async with served(engine) as bus, StreamClient(engine.stream_url) as client:
        stream = bus.stream
        await client.join("notes", "g")
        assert await stream.get("notes", "g", "1", Note) is None
        written = await stream.set("notes", "g", "1", Note("hi"))
        assert (written.old_value, written.new_value) == (None, {"text": "hi"})
        assert await client.event() == {"type": "create", "data": {"text": "hi"}}
        assert await stream.get("notes", "g", "1", Note) == Note("hi")
        assert await stream.get("notes", "g", "1") == {"text": "hi"}
        assert await stream.list("notes", "g", Note) == [Note("hi")]
        updated = await stream.update("notes", "g", "1", [increment("n"), increment("text")])
        assert updated.new_value == {"text": "hi", "n": 1}
        assert [error.code for error in updated.errors] == ["increment.not_number"]
        assert await client.event() == {"type": "update", "data": {"text": "hi", "n": 1}}
        assert await stream.groups("notes") == ["g"]
        assert await stream.names() == ["notes"]
        await stream.send("notes", "g", "typing", {"who": "ann"}, item="1")
        sent = await client.next()
        assert (sent["id"], sent["event"]["event"]["type"]) == ("1", "typing")
        assert await stream.delete("notes", "g", "1") == {"text": "hi", "n": 1}
        assert await stream.delete("notes", "g", "1") is None


async def test_changes_call_functions(engine: RunningEngine) -> None:
    worker, seen = Worker("watcher"), asyncio.Queue[Any]()

    @worker.function("seen", on_stream("notes", "g"))
    async def changed(event: dict[str, Any]) -> None:
        await seen.put((event["id"], event["event"]))

    async with served(engine, worker) as bus:
        await bus.stream.set("notes", "other", "1", 0)
        await bus.stream.set("notes", "g", "2", {"n": 1})
        async with asyncio.timeout(10):
            assert await seen.get() == ("2", {"type": "create", "data": {"n": 1}})


async def test_the_engine_uses_what_a_worker_keeps(engine: RunningEngine) -> None:
    worker = Worker("keeper")
    worker.stream("notes", Kept())
    async with served(engine, worker) as bus, StreamClient(engine.stream_url) as client:
        await bus.stream.set("notes", "g", "1", "first")
        assert (await client.join("notes", "g"))["event"] == {"type": "sync", "data": ["first"]}
        await bus.stream.set("notes", "g", "1", "second")
        assert await client.event() == {"type": "update", "data": "second"}
        assert await bus.stream.get("notes", "g", "1") == "second"
        assert await bus.stream.groups("notes") == ["g"]
        assert await bus.stream.delete("notes", "g", "1") == "second"
        assert await client.event() == {"type": "delete", "data": "second"}
