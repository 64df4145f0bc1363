"""Streams as workers keep and use them."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from tests.support.engine import RunningEngine
from tests.support.served import served

from iii_sdk import StreamItems, StreamStore, Worker
from iii_sdk.codec import dump, read_result
from iii_sdk.state import increment
from iii_sdk.stream_items import GroupRef, ItemRef, NewItem, Removed, Replaced, StreamRef


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


class Module:
    """Answers like the stream module, and keeps what it was asked."""

    answers = MappingProxyType(
        {
            "stream::get": {"text": "hi"},
            "stream::set": {"old_value": None, "new_value": {"text": "hi"}},
            "stream::update": {"old_value": {"n": 1}, "new_value": {"n": 2}},
            "stream::delete": {"old_value": {"n": 2}},
            "stream::list": [{"text": "hi"}],
            "stream::list_groups": ["g"],
            "stream::list_all": {"stream": [{"id": "notes", "groups": ["g"]}], "count": 1},
            "stream::send": None,
        }
    )

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    async def call(self, function_id: str, data: object, *, kind: Any = None) -> Any:
        self.asked[function_id] = msgspec.json.decode(dump(data))
        answer = msgspec.Raw(msgspec.json.encode(self.answers[function_id]))
        return read_result(answer, kind, function_id)


async def test_items_are_read_and_written() -> None:
    module = Module()
    stream = StreamItems(module.call)
    assert await stream.get("notes", "g", "1", Note) == Note("hi")
    assert await stream.get("notes", "g", "1") == {"text": "hi"}
    assert (await stream.set("notes", "g", "1", Note("hi"))).new_value == {"text": "hi"}
    assert (await stream.update("notes", "g", "1", [increment("n")])).new_value == {"n": 2}
    assert await stream.delete("notes", "g", "1") == {"n": 2}
    assert await stream.list("notes", "g", Note) == [Note("hi")]
    assert await stream.groups("notes") == ["g"]
    assert await stream.names() == ["notes"]
    await stream.send("notes", "g", "typing", {"who": "ann"}, item="1")
    item = {"stream_name": "notes", "group_id": "g", "item_id": "1"}
    assert module.asked == {
        "stream::get": item,
        "stream::set": {**item, "data": {"text": "hi"}},
        "stream::update": {**item, "ops": [{"type": "increment", "path": "n", "by": 1}]},
        "stream::delete": item,
        "stream::list": {"stream_name": "notes", "group_id": "g"},
        "stream::list_groups": {"stream_name": "notes"},
        "stream::list_all": {},
        "stream::send": {
            "stream_name": "notes",
            "group_id": "g",
            "type": "typing",
            "data": {"who": "ann"},
            "id": "1",
        },
    }
