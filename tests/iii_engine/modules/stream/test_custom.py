"""Streams that a worker keeps itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.desk import Desk

from iii_engine.core.router import Call
from iii_engine.core.stream_messages import Wanted
from iii_engine.core.stream_subscriber import Subscriber
from iii_engine.core.stream_subscriptions import Subscriptions
from iii_sdk.errors import BusError

ITEM = {"stream_name": "s", "group_id": "g", "item_id": "1"}


def seen(desk: Desk) -> list[Any]:
    return [event["event"] for event in desk.payloads("seen")]


@pytest.fixture(autouse=True)
def watch(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen")


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        ({"old_value": None, "new_value": 5}, {"type": "create", "data": 5}),
        ({"new_value": 5, "more": 1}, {"type": "create", "data": 5}),
        ({"old_value": 0, "new_value": 5}, {"type": "update", "data": 5}),
    ],
)
def test_a_set_is_told_as_the_worker_says(desk: Desk, answer: Any, event: Any) -> None:
    desk.handler("stream::set(s)", answer=json.dumps(answer).encode())
    assert desk.ask("stream::set", {**ITEM, "data": 1}) == answer
    assert desk.payloads("stream::set(s)") == [{**ITEM, "data": 1}]
    assert seen(desk) == [event]
    assert desk.ask("stream::get", ITEM) is None


def test_a_delete_is_told_when_something_was_there(desk: Desk) -> None:
    desk.handler("stream::delete(s)", answer=b'{"old_value":[1]}')
    assert desk.ask("stream::delete", ITEM) == {"old_value": [1]}
    assert seen(desk) == [{"type": "delete", "data": [1]}]
    desk.engine.remove_function("stream::delete(s)")
    desk.handler("stream::delete(s)", answer=b"{}")
    assert desk.ask("stream::delete", ITEM) == {}
    assert len(seen(desk)) == 1


@pytest.mark.parametrize(
    ("op", "answer"),
    [
        ("set", b"null"),
        ("set", b"7"),
        ("set", b'{"old_value":1}'),
        ("update", b"[]"),
        ("delete", b"true"),
        ("delete", b"null"),
    ],
)
def test_a_change_that_is_none_is_an_error(desk: Desk, op: str, answer: bytes) -> None:
    desk.handler(f"stream::{op}(s)", answer=answer)
    with pytest.raises(BusError, match=rf"stream::{op}\(s\)") as refused:
        desk.ask(f"stream::{op}", {**ITEM, "data": 1, "ops": []})
    assert refused.value.code == "JSON_ERROR"
    assert seen(desk) == []


@pytest.mark.parametrize("op", ["get", "list", "list_groups"])
def test_what_is_read_passes_as_it_is(desk: Desk, op: str) -> None:
    desk.handler(f"stream::{op}(s)", answer=b'"anything"')
    assert desk.ask(f"stream::{op}", ITEM) == "anything"
    assert desk.payloads(f"stream::{op}(s)") == [ITEM]


def test_without_an_update_the_engine_updates_what_it_keeps(desk: Desk) -> None:
    desk.handler("stream::set(s)", answer=b'{"new_value":1}')
    ops = [{"type": "set", "path": "", "value": 3}]
    assert desk.ask("stream::update", {**ITEM, "ops": ops})["new_value"] == 3
    assert desk.store.read(lambda transaction: transaction.get("stream/s/g", "1")) == b"3"


@pytest.mark.parametrize("op", ["set", "get"])
def test_errors_of_the_worker_reach_the_caller(desk: Desk, op: str) -> None:
    def broken(call: Call) -> None:
        call.fail("oops", "it broke")

    desk.engine.add_function(f"stream::{op}(s)", broken, module="test")
    with pytest.raises(BusError, match="it broke") as refused:
        desk.ask(f"stream::{op}", {**ITEM, "data": 1})
    assert refused.value.code == "oops"
    assert seen(desk) == []


@pytest.mark.parametrize(
    ("op", "item", "request_"),
    [
        ("list", None, {"stream_name": "s", "group_id": "g"}),
        ("get", "1", ITEM),
    ],
)
def test_subscriptions_begin_with_what_the_worker_has(
    desk: Desk, op: str, item: str | None, request_: dict[str, str]
) -> None:
    calls = desk.handler(f"stream::{op}(s)", answer=None)
    table: Subscriptions = desk.module.hub.subscriptions  # type: ignore[attr-defined]
    subscriber = Subscriber(lambda: None, lambda: None)
    table.join(subscriber, Wanted("a", "s", "g", item))
    assert desk.payloads(f"stream::{op}(s)") == [request_]
    desk.ask("stream::set", {**ITEM, "data": "late"})
    calls[0].reply(b'["from the worker"]')
    sync, update = (json.loads(message)["event"] for message in subscriber.take())
    assert sync == {"type": "sync", "data": ["from the worker"]}
    assert update == {"type": "create", "data": "late"}
    table.join(subscriber, Wanted("b", "s", "g", item))
    calls[1].fail("oops", "it broke")
    (told,) = (json.loads(message) for message in subscriber.take())
    assert told["error"] == {"code": "oops", "message": "it broke", "subscriptionId": "b"}
