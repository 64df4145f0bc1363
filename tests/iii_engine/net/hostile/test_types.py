"""Every type of message with everything that can be wrong with one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.hostile import Pair, Peer, ThreadedEngine, frame
from tests.support.waiting import until_sync

from iii_engine.core.ledger import MAX_REGISTRATIONS

#: A right message of each type that a worker may send.
RIGHT: dict[str, dict[str, Any]] = {
    "registerfunction": {
        "id": "hostile::f",
        "description": "d",
        "request_format": {},
        "response_format": {},
        "metadata": {},
        "invocation": {"url": "https://example.org/", "headers": {"a": "b"}, "timeout_ms": 1},
    },
    "unregisterfunction": {"id": "hostile::f"},
    "registertriggertype": {"id": "hostile", "description": "d", "trigger_request_format": {}},
    "unregistertriggertype": {"id": "hostile"},
    "registertrigger": {
        "id": "t",
        "trigger_type": "state",
        "function_id": "hostile::f",
        "config": {"scope": "s"},
        "metadata": {},
    },
    "unregistertrigger": {"id": "t", "trigger_type": "state"},
    "triggerregistrationresult": {
        "id": "t",
        "trigger_type": "x",
        "function_id": "f",
        "error": {"code": "c", "message": "m"},
    },
    "invokefunction": {
        "invocation_id": "i",
        "function_id": "state::get",
        "data": {"scope": "s", "key": "k"},
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "baggage": "a=b",
        "action": {"type": "void"},
        "metadata": {},
    },
    "invocationresult": {
        "invocation_id": "i",
        "function_id": "f",
        "result": {},
        "error": {"code": "c", "message": "m", "stacktrace": "s"},
    },
    "registerservice": {"id": "hostile", "name": "n", "parent_service_id": "p"},
    "reattach": {"previous_worker_id": "w", "reattach_token": "t"},
    "ping": {},
    "pong": {},
}

#: JSON texts in place of a field's value.
WRONG = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "half": "[" * 100_000,
    "digits": "9" * 10_000,
    "exponent": "1e999999999",
    "nan": "NaN",
    "null": "null",
    "list": "[[],[{}]]",
    "number": "-0.0",
    "surrogate": '"\\ud800"',
    "nul": '"\\u0000"',
    "long": '"' + "x" * 1_000_000 + '"',
    "twice": '1,"id":2,"type":"ping","id":3',
}


def answers_a_ping(peer: Peer) -> bool:
    """Whether the connection goes on; answers to what came before are read past."""
    peer.tell({"type": "ping"})
    while (answer := peer.message()) is not None:
        if answer["type"] == "pong":
            return True
    return False


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", RIGHT)
def test_a_wrong_field_costs_no_more_than_its_message(
    engine: ThreadedEngine, healthy: Pair, kind: str, wrong: str
) -> None:
    with Peer(engine.port) as peer:
        for field in (*RIGHT[kind], "unknown"):
            rest = {name: value for name, value in RIGHT[kind].items() if name != field}
            text = json.dumps({"type": kind, **rest})
            peer.tell(f'{text[:-1]},"{field}":{WRONG[wrong]}}}')
        assert answers_a_ping(peer)
    assert healthy.works()


@pytest.mark.parametrize("kind", RIGHT)
def test_bytes_that_are_no_text_end_the_connection(
    engine: ThreadedEngine, healthy: Pair, kind: str
) -> None:
    """As text with 1007; as a binary frame, which may be a message, they are one that is wrong."""
    text = json.dumps({"type": kind, **RIGHT[kind], "unknown": "here"}).encode()
    for bad in (b"\xff", b"\xed\xa0\x80", b"\xc0\xaf"):
        with Peer(engine.port) as peer:
            peer.send(frame(1, text.replace(b"here", bad)))
            assert peer.close_code() == 1007
        with Peer(engine.port) as peer:
            peer.send(frame(2, text.replace(b"here", bad)))
            assert answers_a_ping(peer)
    assert healthy.works()


@pytest.mark.promise("Connections", "No worker can fill the engine with registrations.")
def test_a_flood_of_registrations_ends_at_the_limit(engine: ThreadedEngine, healthy: Pair) -> None:
    core = engine.engine.core
    with Peer(engine.port) as peer:
        for start in range(0, 2 * MAX_REGISTRATIONS, 1000):
            peer.send(
                b"".join(
                    frame(1, b'{"type":"registerfunction","id":"flood::%d"}' % n)
                    for n in range(start, start + 1000)
                )
            )
        assert answers_a_ping(peer)
        assert healthy.works()
        flooded = [f.id for f in core.registry if f.id.startswith("flood::")]
        assert len(flooded) == MAX_REGISTRATIONS
        trigger = {"type": "registertrigger", "id": "t", "trigger_type": "x", "function_id": "f"}
        peer.tell(trigger)
        told = peer.message()
        assert told["type"] == "triggerregistrationresult"
        assert told["error"]["code"] == "registration_limit"
    until_sync(lambda: not [f for f in core.registry if f.id.startswith("flood::")])
    assert healthy.works()


def test_after_all_that_nothing_is_left(engine: ThreadedEngine, healthy: Pair) -> None:
    core = engine.engine.core
    until_sync(lambda: len(core.sessions) == 2)
    assert [f.id for f in core.registry if f.id.startswith("hostile")] == []
    assert list(core.triggers) == []
    assert core.router.pending == {}
    assert healthy.works()
