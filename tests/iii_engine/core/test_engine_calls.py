"""Calls that the engine makes itself, and how long any call may take."""

from __future__ import annotations

from tests.support.bus import Bus, replying


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
