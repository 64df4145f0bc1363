"""What a peer can make the engine hold, and what it gives back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.bus import Bus, Peer

from iii_engine.core.deadlines import BUCKET_NS, Deadlines
from iii_engine.core.sessions import (
    HEAVY_BYTES,
    MAX_OUTSTANDING,
    MAX_WEIGHT,
    OUTBOX_LIMIT,
    OUTBOX_MESSAGES,
    WEIGHT_LIMIT,
)
from iii_engine.core.tracing import SpanRing


def test_a_peer_that_reads_no_answers_is_not_read() -> None:
    caller = Bus().peer()
    asked = 0
    while not caller.session.paused:
        caller.ask("no::body", call=f"{asked:036}")
        asked += 1
        assert asked <= OUTBOX_MESSAGES
    resumed = []
    caller.session.on_resume = lambda: resumed.append(True)
    assert len(caller.receive()) == asked
    assert resumed
    assert not caller.session.paused


def test_a_peer_that_is_owed_too_much_is_closed() -> None:
    session = Bus().peer().session
    for _ in range(OUTBOX_LIMIT // 1_000_000 + 1):
        session.send(b"x" * 1_000_000)
    assert session.close_code == 1013
    assert session.outbox_bytes < OUTBOX_LIMIT


def test_what_the_transport_holds_counts() -> None:
    session = Bus().peer().session
    session.unsent_bytes = lambda: OUTBOX_LIMIT
    session.send(b"x" * 300_000)
    assert session.close_code == 1013


def test_a_worker_that_calls_itself_is_read_on() -> None:
    worker = Bus().peer("self::f")
    for n in range(MAX_OUTSTANDING + 10):
        worker.ask("self::f", call=f"{n:036}")
        for invocation in worker.inbox():
            worker.kept = [*getattr(worker, "kept", [])[-1:], invocation]
    assert not worker.session.paused
    worker.answer(worker.kept[-1], result=1)
    assert worker.only()["result"] == 1


def test_a_paused_worker_that_gets_a_call_is_read_for_its_answer() -> None:
    bus = Bus()
    silent, busy, caller = bus.peer("silent::f"), bus.peer("busy::f"), bus.peer()
    for n in range(MAX_OUTSTANDING):
        busy.ask("silent::f", call=f"{n:036}")
        silent.receive()
    assert busy.session.paused
    caller.ask("busy::f")
    assert not busy.session.paused
    busy.answer(busy.only(), result=1)
    assert caller.only()["result"] == 1


def test_void_calls_do_not_pause_and_are_forgotten_in_the_end() -> None:
    bus = Bus()
    silent, caller = bus.peer("silent::f"), bus.peer()
    for _ in range(100):
        caller.tell("invokefunction", function_id="silent::f")
    assert caller.session.outstanding == 0
    assert len(bus.engine.router.pending) == 100
    bus.wait(601)
    assert bus.engine.router.pending == {}
    assert silent.session.active == 0


def test_wire_case_36_calls_of_a_gone_caller_are_free_at_once() -> None:
    bus = Bus()
    worker = bus.peer("a::b")
    for _ in range(10):
        caller = bus.peer()
        caller.ask("a::b")
        caller.tell("invokefunction", function_id="a::b")
        caller.close()
    assert bus.engine.router.pending == {}
    assert worker.session.active == 0
    for invocation in worker.inbox():
        worker.answer(invocation, result=1)
    assert {span.status_description for span in bus.engine.spans} == {"caller_gone"}


def test_spans_hold_nothing_that_a_caller_sent() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b", {"x": 1}, baggage="k=" + "v" * 1000, metadata={"m": 1}, call="i" * 1000)
    worker.answer(worker.only(), result=1)
    (call,) = ring_slots(bus.engine.spans)
    assert (call.caller, call.callee, call.caller_invocation) == (None,) * 3
    assert (bytes(call.data), bytes(call.metadata)) == (b"", b"null")
    handled, called = bus.engine.spans
    assert handled.attribute("worker_id") == caller.id
    assert called.attribute("iii.worker.id") == worker.id


def test_endless_baggage_is_dropped() -> None:
    worker = Bus().peer("a::b")
    worker.ask("a::b", baggage="k=" + "v" * 10_000)
    assert "baggage" not in worker.only()


def ring_slots(ring: SpanRing) -> list[Any]:
    return list(ring._records)  # the test is about what the slots hold


def test_empty_deadline_buckets_cost_nothing() -> None:
    deadlines = Deadlines()
    for number in range(200_000):
        deadlines.add("x", number * BUCKET_NS)
        deadlines.remove("x", number * BUCKET_NS)
    deadlines.remove("unknown", 5)
    deadlines.add("last", 300_000 * BUCKET_NS)
    assert deadlines.next_ns() == 300_001 * BUCKET_NS
    assert len(deadlines._buckets) == 1
    assert deadlines.take_due(300_001 * BUCKET_NS) == ["last"]
    assert deadlines.next_ns() is None


@pytest.mark.parametrize("field", ["traceparent", "baggage", "invocation_id", "function_id"])
def test_lone_surrogates_in_the_envelope_are_replaced(field: str) -> None:
    bus = Bus()
    worker = bus.peer("a::b", "a\ufffdb")
    fields: dict[str, Any] = {"invocation_id": "i", "function_id": "a::b", field: "a\ud800b"}
    worker.send(json.dumps({"type": "invokefunction", **fields}).encode())
    invocation = worker.only()
    worker.answer(invocation, result=1)
    assert worker.only()["result"] == 1
    assert bus.engine.router.pending == {}


def test_a_surrogate_in_a_trigger_does_not_stop_the_clean_up() -> None:
    bus = Bus()
    owner, worker = bus.peer(), bus.peer("a::b")
    owner.tell("registertriggertype", id="hook", description="")
    worker.send(
        b'{"type":"registertrigger","id":"t\\ud800","trigger_type":"hook","function_id":"a::b"}'
    )
    worker.tell("registertrigger", id="ok", trigger_type="hook", function_id="a::b")
    worker.close()
    assert list(bus.engine.triggers) == []
    assert worker.id not in bus.engine.sessions


def test_one_failing_step_does_not_keep_the_others_from_cleaning_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Bus()
    worker = bus.peer("a::b")
    worker.tell("registertrigger", id="t", trigger_type="later", function_id="a::b")
    monkeypatch.setattr(bus.engine.registry, "remove_all", lambda session: 1 / 0)
    worker.close()
    assert list(bus.engine.triggers) == []
    assert "cleaning up" in caplog.text


def test_deep_nesting_is_malformed() -> None:
    worker = Bus().peer("a::b")
    deep = b"[" * 100_000 + b"]" * 100_000
    worker.send(b'{"type":"ping","x":' + deep + b"}")
    worker.send(
        b'{"type":"invokefunction","invocation_id":"i","function_id":"a::b","data":%b}' % deep
    )
    worker.receive()
    worker.tell("ping")
    assert worker.only() == {"type": "pong"}


@pytest.mark.parametrize("depth", [240, 300, 970])
def test_nesting_is_refused_at_the_door_and_nowhere_behind_it(depth: int) -> None:
    """Whatever the stack holds at that moment."""
    bus = Bus()
    bus.peer("f::f")
    caller = bus.peer()
    deep = b"[" * depth + b"]" * depth
    caller.send(
        b'{"type":"invokefunction","invocation_id":"i","function_id":"no::such","data":%b}' % deep
    )
    code = caller.only()["error"]["code"]
    assert code == ("invalid_message" if depth > 256 else "function_not_found")


@pytest.mark.parametrize("trace", ['x","result":1,"y":"', '"', "00-00-00-00"])
def test_a_traceparent_cannot_add_to_the_answer(trace: str) -> None:
    worker = Bus().peer("a::b")
    worker.ask("no::body", traceparent=trace)
    assert set(worker.only()) == {"type", "invocation_id", "function_id", "error"}
    worker.ask("a::b", traceparent=trace)
    assert worker.only()["traceparent"].startswith("00-")


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_wire_case_24_a_large_payload_that_is_passed_on_names_its_caller_once(
    separators: tuple[str, str],
) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    data = {"x": "y" * 10_000, "_caller_worker_id": "3f0c0f0e-0000-4000-a000-000000000000"}
    text = json.dumps(data, separators=separators).encode()
    caller.send(
        b'{"type":"invokefunction","invocation_id":"i","function_id":"a::b","data":%b}' % text
    )
    (frame,) = worker.receive()
    assert frame.count(b"_caller_worker_id") == 1
    assert json.loads(frame)["data"] == {**data, "_caller_worker_id": caller.id}


@pytest.mark.parametrize(
    "key", ['x"_caller_worker_id', 'x\\"_caller_worker_id', ', "_caller_worker_id']
)
def test_wire_case_24_a_longer_key_that_ends_like_the_callers_stays_whole(key: str) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    data = {"pad": "p" * 5000, key: "v"}
    caller.send(
        b'{"type":"invokefunction","invocation_id":"i","function_id":"a::b","data":%b}'
        % json.dumps(data).encode()
    )
    (frame,) = worker.receive()
    assert json.loads(frame)["data"] == {**data, "_caller_worker_id": caller.id}


def test_an_error_with_odd_text_keeps_its_code() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b")
    worker.answer(worker.only(), error={"code": "boom", "message": "\ud800 x"})
    error = caller.only()["error"]
    assert (error["code"], error["message"]) == ("boom", "\ufffd x")


def test_services_forget_functions_that_are_gone() -> None:
    bus = Bus()
    worker: Peer = bus.peer()
    for n in range(100):
        worker.offer(f"s::{n}")
        worker.tell("unregisterfunction", id=f"s::{n}")
    assert bus.engine.services._services == {}


def test_results_that_nobody_waits_for_are_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = Bus().peer()
    for _ in range(3):
        worker.tell("invocationresult", invocation_id="unknown")
    assert caplog.text.count("nobody waits for") == 1


def holding(bus: Bus) -> list[Any]:
    """A module's function and a queue that answer when the test does."""
    calls: list[Any] = []
    bus.engine.add_function("slow::f", calls.append, module="m")
    bus.engine.enqueue = lambda call, action: calls.append(call)
    return calls


@pytest.mark.parametrize("fields", [{}, {"action": {"type": "enqueue", "queue": "q"}}])
def test_large_payloads_that_wait_for_a_module_stop_the_reading(fields: dict[str, Any]) -> None:
    bus = Bus()
    calls, caller = holding(bus), bus.peer()
    size = MAX_WEIGHT // 20 - 10
    for _ in range(21):
        assert not caller.session.paused
        caller.ask("slow::f", "x" * size, **fields)
    assert caller.session.paused
    for call in calls[:10]:
        call.reply()
    assert caller.session.paused  # it waits for half of them
    calls[10].reply()
    assert not caller.session.paused
    for call in calls[11:]:
        call.reply()
    assert caller.session.weight == 0
    assert len(caller.receive()) == 21


def test_large_void_calls_that_wait_for_a_module_stop_the_reading() -> None:
    bus = Bus()
    calls, caller = holding(bus), bus.peer()
    for _ in range(5):
        caller.tell("invokefunction", function_id="slow::f", data="x" * (MAX_WEIGHT // 4))
    assert caller.session.paused
    for call in calls:
        call.fail("broken", "it did not work")
    assert not caller.session.paused
    assert caller.session.weight == 0


def test_large_payloads_that_were_handed_on_are_not_counted() -> None:
    bus = Bus()
    calls, caller, worker = holding(bus), bus.peer(), bus.peer("worker::f")
    for _ in range(5):
        caller.ask("worker::f", "x" * (MAX_WEIGHT // 4))
        worker.receive()
    caller.ask("slow::f", "x" * (HEAVY_BYTES // 2))
    assert caller.session.weight == 0
    assert len(calls) == 1


def test_a_busy_worker_is_read_for_its_answers_and_refused_what_is_too_much() -> None:
    bus = Bus()
    calls, busy, caller = holding(bus), bus.peer("busy::f"), bus.peer()
    for _ in range(5):
        busy.ask("slow::f", "x" * (MAX_WEIGHT // 4))
    assert busy.session.paused
    caller.ask("busy::f")
    assert not busy.session.paused
    for _ in range(13):
        busy.ask("slow::f", "x" * (MAX_WEIGHT // 4))
    task, *answers = busy.inbox()
    assert [answer["error"]["code"] for answer in answers] == ["worker_overloaded"] * 2
    assert busy.session.weight <= WEIGHT_LIMIT + MAX_WEIGHT // 4
    busy.answer(task, result=1)
    assert caller.only()["result"] == 1
    assert len(calls) == 16
