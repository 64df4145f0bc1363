"""Timers of the core."""

from __future__ import annotations

from iii_engine.core.clock import VirtualClock
from iii_engine.core.timers import Timers


def test_timers_fire_once_in_the_order_of_their_times() -> None:
    clock, seen = VirtualClock(), list[str]()
    timers = Timers(clock.now_ns)
    assert timers.next_deadline_ns() is None
    timers.after(2, lambda: seen.append("late"))
    early = timers.after(1, lambda: seen.append("early"))
    assert timers.next_deadline_ns() == early.due_ns
    clock.advance(1)
    timers.advance()
    timers.advance()
    assert seen == ["early"]
    clock.advance(5)
    timers.advance()
    assert seen == ["early", "late"]
    assert timers.next_deadline_ns() is None


def test_a_cancelled_timer_is_nothing_to_wait_for() -> None:
    clock, seen = VirtualClock(), list[str]()
    timers = Timers(clock.now_ns)
    timer = timers.after(1, lambda: seen.append("never"))
    other = timers.after(1, timer.cancel)
    later = timers.after(3, lambda: seen.append("later"))
    timer.cancel()
    assert timer.cancelled
    assert timers.next_deadline_ns() == other.due_ns
    clock.advance(1)
    timers.advance()
    assert seen == []
    assert timers.next_deadline_ns() == later.due_ns


def test_one_of_a_batch_may_cancel_the_next() -> None:
    clock, seen = VirtualClock(), list[str]()
    timers = Timers(clock.now_ns)
    timers.after(1, lambda: second.cancel())
    second = timers.after(1, lambda: seen.append("never"))
    clock.advance(1)
    timers.advance()
    assert seen == []


def test_what_a_timer_adds_for_now_waits_for_the_next_time() -> None:
    clock, seen = VirtualClock(), list[str]()
    timers = Timers(clock.now_ns)

    def again() -> None:
        seen.append("x")
        timers.after(0, again)

    timers.after(0, again)
    timers.advance()
    assert seen == ["x"]
