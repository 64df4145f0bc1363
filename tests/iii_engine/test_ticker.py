from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.ticker import Ticker
from iii_sdk.protocol import ErrorBody


class Handle:
    def __init__(self, when: float, work: Callable[[], None]) -> None:
        self._when = when
        self.work = work
        self.cancelled = False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """What a ticker uses of an event loop, on a clock that only `run` moves."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._handles: list[Handle] = []

    def time(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    def call_later(self, delay: float, work: Callable[[], None]) -> Handle:
        handle = Handle(self.time() + delay, work)
        self._handles.append(handle)
        return handle

    def waiting(self) -> list[Handle]:
        return [handle for handle in self._handles if not handle.cancelled]

    def run(self, seconds: float) -> None:
        """Let so much time pass, and do meanwhile what is due when it is."""
        end = self.time() + seconds
        while waiting := self.waiting():
            first = min(waiting, key=Handle.when)
            if first.when() > end:
                break
            self._clock.advance(max(0.0, first.when() - self.time()))
            self._handles.remove(first)
            first.work()
        self._clock.advance(end - self.time())


@pytest.fixture
def engine() -> Engine:
    return Engine(VirtualClock(0), SeededIds(1))


@pytest.fixture
def loop(engine: Engine) -> Loop:
    return Loop(cast(VirtualClock, engine.clock))


def ticker_of(engine: Engine, loop: Loop) -> Ticker:
    return Ticker(engine, cast(asyncio.AbstractEventLoop, loop))


def test_deadlines_are_met_and_stopping_stops(engine: Engine, loop: Loop) -> None:
    engine.add_function("never", lambda call: None, module="m")
    errors: list[ErrorBody | None] = []
    ticker = ticker_of(engine, loop)
    engine.call("never", b"{}", lambda result, error: errors.append(error), timeout_ms=50)
    loop.run(1)
    assert errors[0] is not None
    assert errors[0].code == "timeout"
    ticker.stop()
    engine.call("never", b"{}", lambda result, error: errors.append(error), timeout_ms=50)
    loop.run(10)
    assert len(errors) == 1
    assert loop.waiting() == []


def test_a_timer_that_is_set_later_is_met_in_time(engine: Engine, loop: Loop) -> None:
    ticker = ticker_of(engine, loop)
    met: list[float] = []
    engine.timers.after(5, lambda: met.append(loop.time()))
    engine.timers.after(0.02, lambda: met.append(loop.time()))
    loop.run(0.09)  # before the next look that is due without it
    assert met == [pytest.approx(0.02, abs=1e-6)]
    ticker.stop()
    engine.timers.after(0, lambda: None)
    assert loop.waiting() == []
