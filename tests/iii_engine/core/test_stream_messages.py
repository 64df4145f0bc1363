from __future__ import annotations

import json
from typing import Any

import pytest

from iii_engine.core import stream_messages
from iii_engine.core.stream_messages import Event, Join, Leave, Left, Wanted
from iii_sdk.errors import BusError


def test_a_join_names_a_group_or_an_item() -> None:
    data = {"subscriptionId": "s", "streamName": "a", "groupId": "b"}
    read = stream_messages.read
    assert read(json.dumps({"type": "join", "data": data}).encode()) == Join(Wanted("s", "a", "b"))
    data["id"] = "c"
    assert read(json.dumps({"data": data, "type": "join"}).encode()) == Join(
        Wanted("s", "a", "b", "c")
    )


def test_a_leave_needs_no_more_than_its_id() -> None:
    assert stream_messages.read(b'{"type":"leave","data":{"subscriptionId":"s"}}') == Leave(
        Left("s")
    )


@pytest.mark.parametrize("blank", [b"", b" \r\n\t"])
def test_blank_messages_say_nothing(blank: bytes) -> None:
    assert stream_messages.read(blank) is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"{", ""),
        (b"null", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (b'{"type":"dance"}', "$.type"),
        (b'{"type":"join"}', "data"),
        (b'{"type":"join","data":{"subscriptionId":1}}', "$.data.subscriptionId"),
        (b'{"type":"join","data":{"subscriptionId":"s","streamName":"a"}}', "groupId"),
    ],
)
def test_bad_messages_are_named(text: bytes, path: str) -> None:
    with pytest.raises(BusError) as refused:
        stream_messages.read(text)
    assert refused.value.code == "bad_message"
    assert path in refused.value.message


def test_an_event_is_wrapped() -> None:
    event = Event(
        stream='a"b',
        group="é",
        item=None,
        body=stream_messages.sent("typing", b"[1]"),
        timestamp_ms=12,
    )
    assert json.loads(event.message) == {
        "type": "stream",
        "timestamp": 12,
        "streamName": 'a"b',
        "groupId": "é",
        "id": None,
        "event": {"type": "event", "event": {"type": "typing", "data": [1]}},
    }


@pytest.mark.parametrize(
    ("body", "change"),
    [(stream_messages.changed("delete", b"[1]"), True), (stream_messages.sent("x", b"1"), False)],
)
def test_an_event_is_read_back(body: bytes, change: bool) -> None:
    event = Event(stream="s", group="g", item="1", body=body, change=change, timestamp_ms=7)
    assert stream_messages.read_event(event.message) == event
    traced = stream_messages.read_event(event.message, "trace", "a=1")
    assert (traced.traceparent, traced.baggage) == ("trace", "a=1")


def test_several_subscriptions_are_named() -> None:
    def parsed(body: bytes) -> Any:
        return json.loads(
            stream_messages.addressed(stream_messages.wrapper(1, "a", "b", "c", body), ["x", "y"])
        )

    message = parsed(stream_messages.changed("delete", b"{}"))
    assert message["event"] == {"type": "delete", "data": {}}
    assert message["subscriptionIds"] == ["x", "y"]


def test_trouble_has_a_code() -> None:
    assert json.loads(stream_messages.trouble(BusError("no", code="bad_message"))) == {
        "type": "error",
        "error": {"code": "bad_message", "message": "no"},
    }
