"""The engine's sense of time: the core is asked what is due, and told when it is."""

from __future__ import annotations

import asyncio

from iii_engine.core.engine import Engine

#: Seconds between two looks, while the core waits for something and while it does not.
BUSY_SECONDS = 0.02
IDLE_SECONDS = 0.1


class Ticker:
    """Calls `engine.advance` when something is due.

    Deadlines come and go with every call, so arming a timer for each would cost more than they are
    worth: the core is looked at in coarse steps instead.
    """

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._handle = loop.call_later(IDLE_SECONDS, self._tick)

    def stop(self) -> None:
        self._handle.cancel()

    def _tick(self) -> None:
        due = self._engine.next_deadline_ns()
        pause = IDLE_SECONDS if due is None else BUSY_SECONDS
        self._handle = self._loop.call_later(pause, self._tick)
        if due is not None and due <= self._engine.clock.monotonic_ns():
            self._engine.advance()
