"""The engine's sense of time: the core is asked what is due, and told when it is."""

from __future__ import annotations

import asyncio

from iii_engine.core.engine import Engine

#: Seconds between two looks: at most, and at least. In between exactly until something is due.
IDLE_SECONDS = 0.1
LEAST_SECONDS = 0.001


class Ticker:
    """Calls `engine.advance` when something is due.

    Deadlines come and go with every call, so arming a timer for each would cost more than they are
    worth: the core is looked at in coarse steps instead. A deadline that is set and passes between
    two looks is met that much later; timers, which are few, are met in time.
    """

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._handle = loop.call_later(IDLE_SECONDS, self._tick)
        engine.timers.on_sooner = self._look_sooner

    def stop(self) -> None:
        self._engine.timers.on_sooner = _nothing
        self._handle.cancel()

    def _look_sooner(self) -> None:
        due = self._engine.timers.next_deadline_ns()
        if due is not None:
            pause = max(LEAST_SECONDS, (due - self._engine.clock.monotonic_ns()) / 1e9)
            if self._loop.time() + pause < self._handle.when():
                self._handle.cancel()
                self._handle = self._loop.call_later(pause, self._tick)

    def _tick(self) -> None:
        engine = self._engine
        due = engine.next_deadline_ns()
        try:
            if due is not None and due <= engine.clock.monotonic_ns():
                engine.advance()
                due = engine.next_deadline_ns()
        finally:
            pause = IDLE_SECONDS
            if due is not None:
                wait = (due - engine.clock.monotonic_ns()) / 1e9
                pause = min(pause, max(LEAST_SECONDS, wait))
            self._handle = self._loop.call_later(pause, self._tick)


def _nothing() -> None:
    pass
