"""Calls of workers through the bus. Numbers are cases of the wire protocol §18."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw
from tests.support.bus import Bus, replying

from iii_engine.core.caller_stamp import SEARCHED, without_caller
from iii_engine.core.clock import SeededIds
from iii_engine.core.router import Call
from iii_sdk.protocol import EnqueueAction, is_uuid


def test_wire_case_12_a_call_reaches_its_provider_and_the_answer_its_caller() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    call = caller.ask("a::b", [1, 2])
    invocation = worker.only()
    assert invocation["data"] == [1, 2]
    assert invocation["invocation_id"] == call
    worker.answer(invocation, result={"sum": 3})
    answer = caller.only()
    assert (answer["invocation_id"], answer["function_id"]) == (call, "a::b")
    assert answer["result"] == {"sum": 3}


def test_wire_case_13_registration_then_call_on_one_connection() -> None:
    worker = Bus().peer()
    worker.offer("a::b")
    worker.ask("a::b")
    assert worker.only()["function_id"] == "a::b"


def test_wire_case_15_unregistered_function_is_not_found() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    worker.tell("unregisterfunction", id="a::b")
    caller.ask("a::b")
    assert caller.only()["error"] == {
        "code": "function_not_found",
        "message": "Function a::b not found",
    }


def test_wire_case_22_reserved_ids_stay_with_the_engine() -> None:
    bus = Bus()
    bus.engine.add_function("state::set", replying("built in"), module="iii-state")
    worker = bus.peer("state::set", "engine::x", " ")
    worker.ask("state::set")
    assert worker.only()["result"] == "built in"
    assert "engine::x" not in bus.engine.registry
    assert worker.session.functions == {}


def test_wire_case_23_absent_data_is_null() -> None:
    worker = Bus().peer("a::b")
    worker.tell("invokefunction", invocation_id="i", function_id="a::b")
    assert worker.only()["data"] is None


@pytest.mark.parametrize("data", [[1], "s", 5, None, True])
def test_wire_case_24_other_than_objects_pass_unchanged(data: object) -> None:
    worker = Bus().peer("a::b")
    worker.ask("a::b", data)
    assert worker.only()["data"] == data


@pytest.mark.parametrize(
    "data", [b"{}", b"{ }", b'{"x":1}', b'{ "x":1 }', b'{"_caller_worker_id":"forged","x":1}']
)
@pytest.mark.promise(
    "Calls",
    "Nobody can pretend to be another caller: `_caller_worker_id` is the engine's.",
)
def test_wire_case_24_objects_learn_the_caller(data: bytes) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.send(
        b'{"type":"invokefunction","invocation_id":"i","function_id":"a::b","data":%b}' % data
    )
    (frame,) = worker.receive()
    assert frame.count(b"_caller_worker_id") == 1
    expected = {k: v for k, v in json.loads(data).items() if k == "x"}
    assert json.loads(frame)["data"] == {**expected, "_caller_worker_id": caller.id}


@pytest.mark.parametrize("key", [r"\u005fcaller_worker_id", r"_c\u0061ller_worker_id"])
def test_an_escaped_spelling_of_the_key_is_known(key: str) -> None:
    bus = Bus()
    caller, worker = bus.peer(), bus.peer("a::b")
    start = b'{"type":"invokefunction","invocation_id":"i","function_id":"a::b",'
    data = b'"data":{"%b":"forged","x":"\\u00e9\\u0041"}' % key.encode()
    caller.send(start + data + b"}")
    (frame,) = worker.receive()
    assert b"forged" not in frame
    assert json.loads(frame)["data"] == {"x": "éA", "_caller_worker_id": caller.id}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"big":%b,"_caller_worker_id":"forged"}', {}),
        (b'{"_caller_worker_id":"forged","big":%b}', {"_caller_worker_id": None}),
        (rb'{"\u005fcaller_worker_id":"forged","big":%b}', {"_caller_worker_id": None}),
        (rb'{"\ud800":"odd","_caller_worker_id":"forged","big":%b}', {"_caller_worker_id": None}),
        (b'{"note":"of _caller_worker_id","big":%b}', {}),
        (b'{"nested":{"_caller_worker_id":"x"},"big":%b}', {}),
    ],
)
def test_a_large_object_does_not_name_another_caller(
    data: bytes, expected: dict[str, None]
) -> None:
    """It is not built and written anew, which takes seconds for the largest: null comes last."""
    text = data % (b'"' + b"x" * SEARCHED + b'"')
    told = json.loads(bytes(without_caller(text, text)))
    assert "forged" not in str(told)
    assert {k: v for k, v in told.items() if k == "_caller_worker_id"} == expected
    assert told.keys() | {"_caller_worker_id"} == json.loads(text).keys() | {"_caller_worker_id"}


def test_a_string_that_mentions_the_key_is_no_object() -> None:
    worker = Bus().peer("a::b")
    worker.ask("a::b", "_caller_worker_id")
    assert worker.only()["data"] == "_caller_worker_id"


@pytest.mark.parametrize("result", [{}, {"result": None}])
def test_wire_case_25_absent_result_stays_absent(result: dict[str, None]) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b", call="not-a-uuid")
    caller.ask("a::b")
    for invocation in worker.inbox():
        worker.answer(invocation, **result)
    answers = caller.inbox()
    assert len(answers) == 2
    for answer in answers:
        assert "result" not in answer
        assert "error" not in answer


def test_wire_case_26_errors_travel_whole() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b")
    error = {"code": "boom", "message": "it broke", "stacktrace": "here"}
    worker.answer(worker.only(), error=error)
    assert caller.only()["error"] == error


def test_wire_case_28_error_wins_over_result_and_a_malformed_one_counts() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b")
    worker.answer(worker.only(), result=1, error="just text")
    answer = caller.only()
    assert answer["error"] == {"code": "UNKNOWN", "message": "just text"}
    assert "result" not in answer


def test_what_is_null_in_an_error_is_absent() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b")
    worker.answer(worker.only(), error={"code": "FORBIDDEN", "message": None, "stacktrace": None})
    assert caller.only()["error"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("function_id", ["a::b", "no::body"])
def test_wire_cases_29_and_30_void_calls_have_no_answer(function_id: str) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    for fields in (
        {"action": {"type": "void"}},
        {"invocation_id": None},
        {"invocation_id": "ignored", "action": {"type": "void"}},
    ):
        caller.tell("invokefunction", function_id=function_id, data={}, **fields)
    for invocation in worker.inbox():
        assert is_uuid(invocation["invocation_id"])
        assert "action" not in invocation
        worker.answer(invocation, error={"code": "ignored", "message": ""})
    assert caller.inbox() == []
    assert caller.session.outstanding == 0


def test_enqueue_without_the_queue_module() -> None:
    caller = Bus().peer()
    caller.ask("a::b", action={"type": "enqueue", "queue": "mail"})
    assert caller.only()["error"] == {"code": "enqueue_error", "message": "QueueModule not loaded"}
    caller.tell("invokefunction", function_id="a::b", action={"type": "enqueue", "queue": "mail"})
    assert caller.inbox() == []


def test_wire_case_31_enqueue_is_answered_by_the_queue() -> None:
    bus = Bus()
    taken = []

    def enqueue(call: object, action: EnqueueAction) -> None:
        taken.append((call, action.queue))

    bus.engine.enqueue = enqueue
    caller = bus.peer()
    caller.ask("a::b", {"x": 1}, action={"type": "enqueue", "queue": "mail"})
    ((call, queue),) = taken
    assert queue == "mail"
    assert json.loads(bytes(call.data)) == {"x": 1}  # without `_caller_worker_id`
    call.reply(b'{"messageReceiptId":"r"}')
    call.reply(b'"second answers are ignored"')
    assert caller.only()["result"] == {"messageReceiptId": "r"}


def test_a_late_answer_does_not_end_the_next_call_of_that_id() -> None:
    bus = Bus()
    asked: list[Call] = []
    bus.engine.add_function("slow", asked.append, module="test")
    caller, call_id = bus.peer(), "11111111-1111-4111-8111-111111111111"
    caller.ask("slow", call=call_id)
    asked[0].fail("timeout", "too late")
    caller.ask("slow", call=call_id)
    asked[0].reply(b'"of the first"')
    assert asked[0].answered
    assert not asked[1].answered
    asked[1].reply(b'"of the second"')
    first, second = caller.inbox()
    assert first["error"]["code"] == "timeout"
    assert second["result"] == "of the second"
    assert bus.engine.router.pending == {}


@pytest.mark.promise(
    "Calls",
    "A worker that goes in the middle of a call ends it at once, with `invocation_stopped`.",
)
def test_wire_case_34_callee_gone_stops_the_call() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b")
    caller.ask("a::b")
    worker.close()
    answers = caller.inbox()
    assert len(answers) == 2
    for answer in answers:
        assert answer["error"] == {"code": "invocation_stopped", "message": "Invocation stopped"}
    assert bus.engine.router.pending == {}


def test_wire_case_35_unregistering_does_not_stop_running_calls() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b")
    invocation = worker.only()
    worker.tell("unregisterfunction", id="a::b")
    worker.answer(invocation, result=1)
    assert caller.only()["result"] == 1


def test_wire_case_36_caller_gone_frees_the_call() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b")
    caller.close()
    worker.answer(worker.only(), result=1)
    assert caller.receive() == []
    assert bus.engine.router.pending == {}
    assert worker.session.active == 0


@pytest.mark.promise("Calls", "Only the worker that was given a call can answer it.")
def test_wire_case_37_foreign_and_unknown_results_are_dropped() -> None:
    bus = Bus()
    worker, other, caller = bus.peer("a::b"), bus.peer(), bus.peer()
    caller.ask("a::b")
    invocation = worker.only()
    other.answer(invocation, result="forged")
    other.tell("invocationresult", invocation_id="unknown", result=1)
    assert caller.inbox() == []
    worker.answer(invocation, result="real")
    worker.answer(invocation, result="again")
    assert caller.only()["result"] == "real"
    assert bus.engine.router.counters.dropped_results == 3


def test_wire_case_38_equal_ids_of_two_callers_do_not_cross() -> None:
    bus = Bus()
    worker, one, two = bus.peer("a::b"), bus.peer(), bus.peer()
    call = bus.engine.ids.uuid()
    one.ask("a::b", "one", call)
    two.ask("a::b", "two", call)
    first, second = worker.inbox()
    assert first["invocation_id"] != second["invocation_id"]
    worker.answer(second, result=second["data"])
    worker.answer(first, result=first["data"])
    assert (one.only()["result"], two.only()["result"]) == ("one", "two")


def test_wire_case_39_the_callee_always_gets_a_uuid() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b", call='a"bc')
    invocation = worker.only()
    assert is_uuid(invocation["invocation_id"])
    worker.answer(invocation, result=1)
    assert caller.only()["invocation_id"] == 'a"bc'


def test_wire_case_41_nan_big_integers_and_surrogates_pass() -> None:
    bus = Bus()
    worker = bus.peer("a::b")
    worker.send(
        b'{"type":"invokefunction","invocation_id":"i","function_id":"a::b",'
        b'"data":[NaN,-Infinity,1180591620717411303424,"\\ud800"]}'
    )
    assert worker.only()["data"] == [None, None, 2**70, "\ud800"]


@pytest.mark.parametrize("kind", ["answer", "call"])
def test_wire_case_41_nan_and_surrogates_pass_in_large_messages_with_their_keys_last(
    kind: str,
) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    odd = b'[%bNaN,"\\ud800"]' % (b"0," * 200_000)
    if kind == "answer":
        caller.ask("a::b", call="i")
        wanted = worker.only()["invocation_id"].encode()
        worker.send(b'{"result":%b,"invocation_id":"%b","type":"invocationresult"}' % (odd, wanted))
        received = caller.only()["result"]
    else:
        caller.send(
            b'{"function_id":"a::b","data":%b,"invocation_id":"i","type":"invokefunction"}' % odd
        )
        received = worker.only()["data"]
    assert received[-3:] == [0, None, "\ufffd"]


@pytest.mark.parametrize("kind", ["answer", "call"])
def test_a_large_message_that_nobody_can_read_is_an_error_to_who_waits(kind: str) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    broken = b"[%b}" % (b"0," * 200_000)
    if kind == "answer":
        caller.ask("a::b", call="i")
        wanted = worker.only()["invocation_id"].encode()
        worker.send(
            b'{"result":%b,"invocation_id":"%b","type":"invocationresult"}' % (broken, wanted)
        )
    else:
        caller.send(
            b'{"function_id":"a::b","data":%b,"invocation_id":"i","type":"invokefunction"}' % broken
        )
    answer = caller.only()
    assert (answer["invocation_id"], answer["error"]["code"]) == ("i", "invalid_message")


def test_answers_never_cross_whatever_ids_callers_guess() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    guessed = SeededIds(1)
    for _ in range(50):
        caller.ask("a::b", call=guessed.uuid())
    answers: list[Raw] = []
    bus.engine.call("a::b", b'"engine"', lambda result, error: answers.append(result))
    calls = worker.inbox()
    assert len({call["invocation_id"] for call in calls}) == 51
    for call in calls:
        worker.answer(call, result=call["data"])
    assert [bytes(answer) for answer in answers] == [b'"engine"']
    assert len(caller.inbox()) == 50
    assert worker.session.active == 0


def test_a_clock_that_is_set_back_makes_no_negative_durations() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b")
    bus.clock.jump(-3600)
    worker.answer(worker.only())
    assert all(span.end_ns >= span.start_ns for span in bus.engine.spans)
    (function,) = (found for found in bus.engine.registry if found.id == "a::b")
    assert function.tally.nanoseconds == 0


def test_wire_case_42_trace_context_and_baggage_travel() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    caller.ask(
        "a::b",
        traceparent=f"00-{trace}-00f067aa0ba902b7-01",
        baggage="tenant=acme",
        metadata={"m": 1},
    )
    invocation = worker.only()
    assert invocation["traceparent"].split("-")[1] == trace
    assert invocation["baggage"] == "tenant=acme"
    assert invocation["metadata"] == {"m": 1}
    worker.answer(invocation, result=1)
    answer = caller.only()
    assert answer["traceparent"] == invocation["traceparent"]
    assert answer["baggage"] == "tenant=acme"
    handled, called = bus.engine.spans
    assert (handled.trace_id, handled.parent_span_id) == (trace, "00f067aa0ba902b7")
    assert (called.trace_id, called.parent_span_id) == (trace, handled.span_id)
    assert called.span_id == invocation["traceparent"].split("-")[2]


def test_a_wrong_traceparent_starts_a_new_trace() -> None:
    worker = Bus().peer("a::b")
    worker.ask("a::b", traceparent="nonsense")
    version, trace, span, flags = worker.only()["traceparent"].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")


@pytest.mark.promise(
    "Calls",
    "A message too large for its receiver is an error to who waits, never a lost connection.",
)
def test_wire_case_44_too_large_for_the_receiver() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    worker.session.max_message = caller.session.max_message = 300
    caller.ask("a::b", "x" * 400)
    assert caller.only()["error"]["code"] == "payload_too_large"
    caller.ask("a::b")
    worker.answer(worker.only(), result="x" * 400)
    error = caller.only()["error"]
    assert error["code"] == "payload_too_large"
    assert "300" in error["message"]


def test_wire_case_45_a_worker_that_does_not_read_is_not_sent_more() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    data = "x" * 1_000_000
    for _ in range(70):
        caller.ask("a::b", data)
    answers = caller.inbox()
    assert answers
    assert {a["error"]["code"] for a in answers} == {"worker_overloaded"}
    assert len(worker.receive()) + len(answers) == 70
    assert bus.engine.router.counters.overloaded == len(answers)


def test_too_many_unanswered_calls_pause_the_caller() -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    resumed = []
    caller.session.on_resume = lambda: resumed.append(True)
    for _ in range(10_000):
        caller.ask("a::b")
        if len(worker.session.outbox) > 1000:
            worker.pending = [*getattr(worker, "pending", []), *worker.inbox()]
    assert caller.session.paused
    for invocation in [*worker.pending, *worker.inbox()][:5000]:
        assert not resumed
        worker.answer(invocation)
    assert resumed
    assert not caller.session.paused


def test_wire_case_46_a_worker_may_call_itself() -> None:
    worker = Bus().peer("a::b")
    worker.ask("a::b", 1)
    worker.answer(worker.only(), result=2)
    assert worker.only()["result"] == 2
