"""Peers that speak WebSocket but break the protocol on it: anything may come, in any order."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.hostile import Pair, Peer, ThreadedEngine

MIB = 1024 * 1024


TYPES = [
    "registerfunction",
    "unregisterfunction",
    "registertrigger",
    "unregistertrigger",
    "registertriggertype",
    "unregistertriggertype",
    "triggerregistrationresult",
    "registerservice",
    "invokefunction",
    "invocationresult",
    "workerregistered",
    "reattach",
    "error",
    "ping",
    "pong",
    "bogus",
    None,
    7,
]
FIELDS = [
    "id",
    "name",
    "function_id",
    "invocation_id",
    "trigger_type",
    "config",
    "data",
    "result",
    "error",
    "action",
    "metadata",
    "invocation",
    "traceparent",
    "baggage",
    "description",
    "request_format",
    "previous_worker_id",
    "reattach_token",
    "message",
    "code",
]
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([1 << 63, -(1 << 64), 10**400, float("nan"), float("inf"), 1e308]),
        st.text(st.characters(), max_size=20),
        st.sampled_from(["\ud800", "\x00", "x" * 5000, "hostile::f", "engine::workers::list"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
USUAL = st.sampled_from(
    [
        "hostile::f",
        "hostile::type",
        "state::set",
        "state::get",
        "engine::workers::register",
        "engine::functions::list",
        "http",
        "i-1",
        {"type": "void"},
        {"type": "enqueue", "queue": "q"},
        {"scope": "s", "key": "k", "value": 1},
        {"api_path": "hostile", "http_method": "GET"},
        {"code": "x", "message": "y"},
    ]
)
MESSAGES = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(FIELDS), st.one_of(USUAL, USUAL, JSON), max_size=8),
)


@pytest.mark.promise(
    "Connections",
    "Whatever a peer sends, the next message on a healthy connection works.",
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(MESSAGES, MESSAGES, JSON), min_size=1, max_size=10))
def test_any_messages_leave_the_connection_usable(
    engine: ThreadedEngine, healthy: Pair, messages: list[Any]
) -> None:
    with Peer(engine.port) as peer:
        for message in messages:
            peer.tell(json.dumps(message))
        peer.tell({"type": "invokefunction", "invocation_id": "last", "function_id": "no::such"})
        while (answer := peer.message()) is not None:
            if answer.get("invocation_id") == "last":
                break
        assert answer is not None
        assert answer["error"]["code"] == "function_not_found"
    assert healthy.works()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"type":"invokefunction","invocation_id":"i","function_id":"f","data":' + "[" * 100_000,
        '{"type":"ping","metadata":' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"type":"registerfunction","id":"hostile::f","metadata":'
        + '{"a":' * 50_000
        + "1"
        + "}" * 50_000
        + "}",
        '{"type":"registerfunction","id":' + "9" * 100_000 + "}",
        '{"type":"%s"}' % ("x" * 2 * MIB),
        '{"type":"ping","type":"pong","type":7}',
        '{"type":"invokefunction"' + ',"data":1' * 100_000 + "}",
        "\x00" * 1000,
        '"' * 1000,
        "{" * 1000 + "}" * 1000,
    ],
    ids=range(12),
)
def test_texts_made_to_break_a_parser(engine: ThreadedEngine, healthy: Pair, text: str) -> None:
    with Peer(engine.port) as peer:
        peer.tell(text)
        peer.tell({"type": "ping"})
        answer = peer.message()
        if answer["type"] == "invocationresult":
            assert answer["error"]["code"] == "invalid_message"
            answer = peer.message()
        assert answer == {"type": "pong"}
    assert healthy.works()


@pytest.mark.parametrize("filler", [0, 20_000])
@pytest.mark.parametrize("leaf", ["", "NaN"])
@pytest.mark.parametrize("depth", [100, 400, 800, 5_000])
def test_deep_data_is_carried_or_refused(
    engine: ThreadedEngine, healthy: Pair, depth: int, leaf: str, filler: int
) -> None:
    """A module may meet what the envelope does not look into, and so may every client."""
    deep = "[" * depth + leaf + "]" * depth
    functions = ("state::set", "state::get", "state::update", "engine::functions::list", "no::such")
    with Peer(engine.port) as peer:
        for number, function in enumerate(functions):
            ops = f'"ops":[{{"type":"set","path":"p","value":{deep}}}]'
            peer.tell(
                f'{{"type":"invokefunction","invocation_id":"{number}","function_id":"{function}",'
                f'"filler":"{"x" * filler}",'
                f'"data":{{"scope":"deep","key":"k{depth}","value":{deep},{ops}}}}}'
            )
            answer = peer.message()
            assert answer["invocation_id"] == str(number)
            if depth > 256:
                assert answer["error"]["code"] == "invalid_message"
    assert healthy.works()


def test_what_is_quoted_of_a_malformed_message_is_short(
    engine: ThreadedEngine, healthy: Pair
) -> None:
    with Peer(engine.port) as peer:
        huge = "x" * MIB
        peer.tell({"type": "invokefunction", "invocation_id": "i", "function_id": [huge]})
        peer.tell({"type": "invokefunction", "invocation_id": "j", "action": {"type": huge}})
        for wanted in ("i", "j"):
            answer = peer.message()
            assert answer["invocation_id"] == wanted
            assert answer["error"]["code"] == "invalid_message"
            assert len(answer["error"]["message"]) <= 300
    assert healthy.works()


def test_answers_to_foreign_calls_are_ignored(engine: ThreadedEngine, healthy: Pair) -> None:
    call = {"type": "invokefunction", "function_id": "healthy::echo", "data": 1}
    healthy.caller.tell({**call, "invocation_id": "mine"})
    invocation = healthy.provider.message()
    answer = {"type": "invocationresult", "invocation_id": invocation["invocation_id"]}
    answer["function_id"] = "healthy::echo"
    with Peer(engine.port) as thief:
        thief.tell({**answer, "result": "stolen"})
        thief.tell({"type": "ping"})
        assert thief.message() == {"type": "pong"}
    healthy.provider.tell({**answer, "result": "right"})
    assert healthy.caller.message()["result"] == "right"
    healthy.provider.tell({**answer, "result": "again"})
    assert healthy.works()


@pytest.mark.parametrize("last", ["NaN", '"\\ud800"'])
def test_large_messages_that_only_a_slow_reader_takes_hold_nobody_up(
    engine: ThreadedEngine, healthy: Pair, last: str
) -> None:
    call = '{"type":"invokefunction","invocation_id":"i","function_id":"no::such","data":[%s%s]}'
    with Peer(engine.port) as peer:
        for count in (10_000, 4 * MIB):
            peer.tell(call % ("0," * count, last))
            began = time.monotonic()
            assert healthy.works()
            assert time.monotonic() - began < 1.5  # it was 2 s
            assert peer.message()["error"]["code"] == "function_not_found"
