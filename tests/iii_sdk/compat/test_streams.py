"""A stream that a worker keeps itself."""

from __future__ import annotations

import pytest

from iii_sdk import IStream
from iii_sdk.compat import StreamDeleteResult, StreamSetResult


class Kept(IStream):
    def __init__(self):
        self.items = {}

    async def get(self, input):
        return self.items.get((input.group_id, input.item_id))

    async def set(self, input):
        key = (input.group_id, input.item_id)
        old, self.items[key] = self.items.get(key), input.data
        return StreamSetResult(old_value=old, new_value=input.data)

    async def delete(self, input):
        return StreamDeleteResult(old_value=self.items.pop((input.group_id, input.item_id), None))

    async def list(self, input):
        return [item for (group, _), item in self.items.items() if group == input.group_id]

    async def list_groups(self, input):
        return sorted({group for group, _ in self.items})


def test_the_functions_of_a_stream(iii):
    iii.create_stream("todo", Kept())
    item = {"stream_name": "todo", "group_id": "g", "item_id": "1"}

    def call(name, data):
        return iii.trigger({"function_id": f"stream::{name}(todo)", "payload": data})

    assert call("get", item) is None
    assert call("set", {**item, "data": {"a": 1}}) == {"old_value": None, "new_value": {"a": 1}}
    assert call("get", item) == {"a": 1}
    assert call("list", {"stream_name": "todo", "group_id": "g"}) == [{"a": 1}]
    assert call("list_groups", {"stream_name": "todo"}) == ["g"]
    assert call("delete", item) == {"old_value": {"a": 1}}
    with pytest.raises(ValueError, match="already registered"):
        iii.create_stream("todo", Kept())


def test_the_engine_uses_the_stream(iii):
    iii.create_stream("kept", Kept())
    item = {"stream_name": "kept", "group_id": "g", "item_id": "1"}

    def call(name, data):
        return iii.trigger({"function_id": f"stream::{name}", "payload": data})

    assert call("set", {**item, "data": 1}) == {"old_value": None, "new_value": 1}
    assert call("get", item) == 1
    assert call("list", {"stream_name": "kept", "group_id": "g"}) == [1]
    assert call("list_groups", {"stream_name": "kept"}) == ["g"]
    assert call("delete", item) == {"old_value": 1}
    listed = call("list_all", {})
    assert "kept" not in [row["id"] for row in listed["stream"]]
