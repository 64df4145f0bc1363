"""Timers of the core."""

from __future__ import annotations

import pytest

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
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


def test_setting_the_clock_moves_no_timer_of_an_engine() -> None:
    clock, seen = VirtualClock(), list[str]()
    engine = Engine(clock, SeededIds(1))
    engine.timers.after(10, lambda: seen.append("due"))
    clock.jump(-3600)
    clock.advance(10)
    assert engine.next_deadline_ns() == clock.monotonic_ns()
    engine.advance()
    assert seen == ["due"]
    engine.timers.after(10, lambda: seen.append("early"))
    clock.jump(7200)
    engine.advance()
    assert seen == ["due"]


def test_one_that_fails_is_logged_and_keeps_none_from_its_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, seen = VirtualClock(), list[str]()
    timers = Timers(clock.now_ns)
    timers.after(0, lambda: seen.remove("absent"))
    timers.after(0, lambda: seen.append("next"))
    timers.advance()
    assert seen == ["next"]
    assert "ValueError" in caplog.text
