"""Conversations with the bus, one message at a time. Numbers are cases of the wire protocol §18."""

from __future__ import annotations

import json

import pytest
from tests.support.bus import Bus, replying

from iii_engine.core.router import Call
from iii_sdk.protocol import EnqueueAction, is_uuid


def test_wire_case_1_first_message_names_the_worker() -> None:
    bus = Bus()
    first, second = bus.peer(), bus.peer()
    assert is_uuid(first.id)
    assert is_uuid(second.id)
    assert first.id != second.id


@pytest.mark.parametrize(
    "frame", [b"", b"  ", b"not json", b"[]", b"1", b'{"type":"bogus"}', b"{}"]
)
def test_wire_case_4_malformed_frames_are_dropped_and_the_next_works(frame: bytes) -> None:
    bus = Bus()
    worker = bus.peer("a::b")
    worker.send(frame)
    worker.send(frame)
    assert worker.inbox() == []
    worker.ask("a::b")
    assert worker.only()["type"] == "invokefunction"


def test_malformed_call_with_an_id_is_answered() -> None:
    bus = Bus()
    worker = bus.peer()
    worker.tell("invokefunction", invocation_id="x", function_id=7)
    answer = worker.only()
    assert answer["invocation_id"] == "x"
    assert answer["error"]["code"] == "invalid_message"
    assert "function_id" in answer["error"]["message"]


def test_unknown_action_is_refused() -> None:
    worker = Bus().peer("a::b")
    worker.ask("a::b", action={"type": "later"})
    assert worker.only()["error"]["code"] == "invalid_message"


def test_wire_case_6_application_ping() -> None:
    worker = Bus().peer()
    worker.tell("ping")
    assert worker.only() == {"type": "pong"}
    worker.tell("pong")
    assert worker.inbox() == []


def test_wire_case_8_key_order_and_unknown_keys_do_not_matter() -> None:
    bus = Bus()
    worker = bus.peer()
    worker.send(b'{"zz":1,"id":"a::b","type":"registerfunction"}')
    worker.send(b'{"function_id":"a::b","zz":[1],"invocation_id":"i","type":"invokefunction"}')
    assert worker.only()["function_id"] == "a::b"


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
    taken: list[Call] = []
    bus.engine.enqueue = lambda call, action: taken.append(call)
    caller, worker = bus.peer(), bus.peer("a::b")
    start = b'{"type":"invokefunction","invocation_id":"i","function_id":"a::b",'
    data = b'"data":{"%b":"forged","x":"\\u00e9\\u0041"}' % key.encode()
    caller.send(start + data + b',"action":{"type":"enqueue","queue":"q"}}')
    assert json.loads(bytes(taken[0].data)) == {"x": "éA"}
    caller.send(start + data + b"}")
    (frame,) = worker.receive()
    assert b"forged" not in frame
    assert json.loads(frame)["data"] == {"x": "éA", "_caller_worker_id": caller.id}


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
    for answer in caller.inbox():
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
    for answer in caller.inbox():
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


def test_wire_case_51_reattach_retires_the_old_connection() -> None:
    bus = Bus()
    old, new, wrong = bus.peer("a::b"), bus.peer(), bus.peer()
    wrong.tell("reattach", previous_worker_id=old.id, reattach_token="wrong")
    wrong.tell("reattach", previous_worker_id="nobody", reattach_token=old.token)
    wrong.tell("reattach", previous_worker_id=wrong.id, reattach_token=wrong.token)
    assert "a::b" in bus.engine.registry
    new.tell("reattach", previous_worker_id=old.id, reattach_token=old.token)
    assert "a::b" not in bus.engine.registry
    assert old.closed_with == 1008
    old.offer("late::one")
    assert "late::one" not in bus.engine.registry
    new.offer("a::b")
    old.close()
    assert bus.engine.registry.get("a::b") is not None


def test_worker_events() -> None:
    bus = Bus()
    events = []
    bus.engine.on_worker_event = lambda event, worker: events.append((event, worker))
    worker = bus.peer()
    worker.close()
    worker.close()
    assert events == [("worker_connected", worker.id), ("worker_disconnected", worker.id)]


def test_a_frame_to_a_gone_worker_is_dropped() -> None:
    bus = Bus()
    worker = bus.peer("a::b")
    worker.close()
    worker.session.send(b"late")
    assert worker.receive() == []


def test_engine_calls_are_answered_once() -> None:
    bus = Bus()
    worker = bus.peer("a::b")
    bus.engine.add_function("local::one", replying(7), module="m")
    assert bus.call("local::one") == [(7, None)]
    assert bus.call("no::body") == [(None, "function_not_found")]
    answers = bus.call("a::b", {"x": 1}, baggage="k=v", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    invocation = worker.only()
    assert invocation["data"] == {"x": 1}
    assert invocation["traceparent"].startswith(f"00-{'a' * 32}")
    worker.answer(invocation, result=3)
    worker.answer(invocation, result=4)
    assert answers == [(3, None)]
    bus.engine.call("no::body", b"null", None)
    bus.engine.call("a::b", b"null", None)
    worker.answer(worker.only(), result=1)
    assert bus.engine.router.pending == {}


def test_deadlines_answer_timeout_and_late_results_are_dropped() -> None:
    bus = Bus()
    worker = bus.peer("a::b")
    answers = bus.call("a::b", timeout_ms=200)
    in_time = bus.call("a::b", timeout_ms=200)
    late, quick = worker.inbox()
    worker.answer(quick, result=1)
    due = bus.engine.next_deadline_ns()
    assert due is not None
    assert 0.2 <= (due - bus.clock.now_ns()) / 1e9 <= 0.25
    bus.wait(0.1)
    assert answers == []
    bus.wait(0.15)
    assert answers == [(None, "timeout")]
    assert in_time == [(1, None)]
    worker.answer(late, result=2)
    assert answers == [(None, "timeout")]
    assert bus.engine.next_deadline_ns() is None


def test_backstop_timeout_for_worker_calls() -> None:
    bus = Bus(invocation_timeout_ms=1000)
    worker, caller = bus.peer("a::b"), bus.peer()
    caller.ask("a::b")
    bus.wait(1.1)
    assert caller.only()["error"]["code"] == "timeout"
    assert worker.session.active == 0


def test_a_timeout_is_that_of_the_callers_listener_or_else_of_the_callees() -> None:
    bus = Bus()
    worker, caller, hasty = bus.peer("a::b"), bus.peer(), bus.peer()
    hasty.session.timeout_ms = 1000
    hasty.ask("a::b")
    caller.ask("a::b")
    bus.wait(1.1)
    assert hasty.only()["error"]["code"] == "timeout"
    assert caller.inbox() == []
    worker.session.timeout_ms = 2000
    caller.ask("a::b")
    answers = bus.call("a::b")
    bus.wait(2.1)
    assert caller.only()["error"]["code"] == "timeout"
    assert answers == [(None, "timeout")]
    hasty.ask("a::b")
    bus.wait(1.1)
    assert hasty.only()["error"]["code"] == "timeout"
    assert len(bus.engine.router.pending) == 1  # that of the caller before anybody had a timeout


def test_cancelled_calls_answer_nobody() -> None:
    bus = Bus()
    worker = bus.peer("a::b")
    answers = []
    call = bus.engine.call("a::b", b"null", lambda *answer: answers.append(answer))
    assert not call.answered
    call.cancel()
    worker.answer(worker.only(), result=1)
    assert call.answered
    assert answers == []


def test_http_invoked_functions_need_their_module() -> None:
    bus = Bus()
    worker = bus.peer()
    worker.tell("registerfunction", id="a::b", invocation={"url": "http://x"})
    assert "a::b" not in bus.engine.registry


def test_services_are_labels_over_functions() -> None:
    bus = Bus()
    worker = bus.peer("payments::pay", "plain")
    worker.tell("registerservice", id="payments", name="Payments", description="money")
    worker.tell("registerservice", id="empty")
    (payments, empty) = bus.engine.services
    assert (payments.id, payments.name, payments.functions) == (
        "payments",
        "Payments",
        {"payments::pay"},
    )
    assert empty.name == "empty"
    worker.close()
    assert list(bus.engine.services) == []


def test_a_service_belongs_to_the_newer_connection_of_a_program() -> None:
    bus = Bus()
    old, new = bus.peer(), bus.peer()
    for peer in (old, new):
        peer.describe(name="host:7", pid=7)
    new.tell("registerservice", id="payments", name="new")
    old.tell("registerservice", id="payments", name="old")
    old.close()
    assert [service.name for service in bus.engine.services] == ["new"]


@pytest.mark.parametrize("action", [None, {"type": "void"}, {"type": "enqueue", "queue": "q"}])
@pytest.mark.parametrize("namespace", ["", " \t"])
def test_a_call_in_a_blank_namespace_is_refused(
    namespace: str, action: dict[str, str] | None
) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    call = {"invocation_id": "x", "function_id": "a::b", "namespace": namespace}
    caller.tell("invokefunction", **call, action=action)
    assert worker.inbox() == []
    waits = action is None or action["type"] != "void"
    assert [m["error"]["code"] for m in caller.inbox()] == ["INVALID_NAMESPACE"] * waits


def test_any_other_namespace_is_the_one_there_is(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    worker, caller = bus.peer("a::b"), bus.peer()
    for namespace in (None, "default", "other", "another"):
        caller.tell("invokefunction", function_id="a::b", namespace=namespace)
    assert len(worker.inbox()) == 4
    assert caplog.text.count("calls in namespace") == 1  # once per worker
    assert "'other'" in caplog.text


def test_a_function_of_a_module_that_raises_is_an_error_to_its_caller_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus()
    caller = bus.peer()

    def broken(call: Call) -> None:
        raise RuntimeError("a defect")

    bus.engine.add_function("m::broken", broken, module="m")
    caller.ask("m::broken")
    answer = caller.only()
    assert answer["error"]["code"] == "invocation_failed"
    assert "a defect" not in answer["error"]["message"]
    assert "a defect" in caplog.text
    assert not bus.engine.router.pending
