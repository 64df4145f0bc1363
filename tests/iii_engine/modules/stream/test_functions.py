"""The functions `stream::*` on a bus without sockets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.desk import Desk, running

from iii_engine.modules.adapters import BadAdapter
from iii_engine.modules.stream import StreamModule
from iii_engine.modules.stream.options import StreamOptions
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError

ITEM = {"stream_name": "s", "group_id": "g", "item_id": "1"}


def changes(desk: Desk) -> list[tuple[str, Any]]:
    return [(e["event"]["type"], e["event"]["data"]) for e in desk.payloads("seen")]


def watch(desk: Desk, config: object = None) -> None:
    desk.handler("seen")
    assert desk.bind("t", "seen", config) is None


def test_updates_are_atomic_and_say_what_failed(desk: Desk) -> None:
    watch(desk)
    ops = [{"type": "increment", "path": "n", "by": 2}, {"type": "append", "path": "n", "value": 1}]
    made = desk.ask("stream::update", {**ITEM, "ops": ops})
    assert (made["old_value"], made["new_value"]) == (None, {"n": 2})
    assert [(e["op_index"], e["code"]) for e in made["errors"]] == [(1, "append.type_mismatch")]
    again = desk.ask("stream::update", {**ITEM, "operations": ops[:1]})
    assert again == {"old_value": {"n": 2}, "new_value": {"n": 4}}
    assert changes(desk) == [("create", {"n": 2}), ("update", {"n": 4})]


def test_an_update_that_fails_as_a_whole_changes_nothing(desk: Desk) -> None:
    watch(desk)
    ops = [{"type": "increment", "path": "__proto__", "by": 2}]
    made = desk.ask("stream::update", {**ITEM, "ops": ops})
    assert (made["old_value"], made["new_value"]) == (None, None)
    assert desk.ask("stream::list_all") == {"stream": [], "count": 0}
    assert changes(desk) == []


def test_a_set_to_an_equal_value_is_an_update(desk: Desk) -> None:
    watch(desk)
    for _ in range(2):
        desk.ask("stream::set", {**ITEM, "data": None})
    assert changes(desk) == [("create", None), ("update", None)]


@pytest.mark.parametrize(
    ("function_id", "data", "field"),
    [
        ("stream::set", ITEM, "data"),
        ("stream::set", {"stream_name": "s", "group_id": "g", "data": 1}, "item_id"),
        ("stream::get", {"stream_name": "s", "group_id": "g"}, "item_id"),
        ("stream::delete", {**ITEM, "group_id": None}, "group_id"),
        ("stream::update", ITEM, "ops"),
        ("stream::list", {"stream_name": "s"}, "group_id"),
        ("stream::list_groups", {}, "stream_name"),
        ("stream::send", {"stream_name": "s", "group_id": "g"}, "type"),
    ],
)
def test_what_is_missing_is_named(desk: Desk, function_id: str, data: object, field: str) -> None:
    with pytest.raises(BusError, match=field) as refused:
        desk.ask(function_id, data)
    assert refused.value.code == "deserialization_error"


def test_values_are_listed_in_the_order_of_their_items(desk: Desk) -> None:
    for item in "bac":
        desk.ask("stream::set", {**ITEM, "item_id": item, "data": item})
    desk.ask("stream::set", {**ITEM, "item_id": "a", "data": "A"})
    assert desk.ask("stream::list", ITEM) == ["b", "A", "c"]
    assert desk.ask("stream::list", {**ITEM, "group_id": "none"}) == []
    assert desk.ask("stream::list_groups", {"stream_name": "none"}) == []


async def test_items_outlive_the_module() -> None:
    store = MemoryStore()
    async with running(StreamModule, {"port": 0}, store=store) as desk:
        desk.ask("stream::set", {**ITEM, "data": 1})
    async with running(StreamModule, {"port": 0}, store=store) as desk:
        assert desk.ask("stream::get", ITEM) == 1


async def test_a_store_that_fails_is_answered_with_the_code_of_the_function() -> None:
    async with running(StreamModule, {"port": 0}) as desk:
        watch(desk)
        await desk.store.close()
        for name, code in {
            "set": "STREAM_SET_ERROR",
            "update": "STREAM_UPDATE_ERROR",
            "delete": "STREAM_DELETE_ERROR",
        }.items():
            with pytest.raises(BusError) as refused:
                desk.ask(f"stream::{name}", {**ITEM, "data": 1, "ops": []})
            assert refused.value.code == code
        assert changes(desk) == []


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ({"name": "nope"}, "Adapter factory 'nope' not found"),
        ({"name": "kv", "config": {"file": 1}}, "file"),
    ],
)
def test_an_adapter_must_exist_and_have_known_options(
    adapter: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadAdapter, match=message):
        StreamModule.check(msgspec.convert({"adapter": adapter}, StreamOptions))
