"""A connection between a worker and the engine that delays, breaks and goes silent.

Frames of one direction keep their order, as on any socket. What is on its way at a cut may still
arrive in part, and each end notices the cut at a time of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tests.simulation.world import SECOND, World

from iii_engine.core.sessions import Session

NEVER = 1 << 62


class Side(Protocol):
    """One end of the link."""

    def received(self, link: Link, frame: bytes) -> None: ...

    def ended(self, link: Link) -> None: ...


class Pipe:
    """One direction."""

    def __init__(self, world: World, slowness: float, arrive: Callable[[bytes], None]) -> None:
        self._world = world
        self._slowness = slowness
        self._arrive = arrive
        self._last = 0
        self._until = NEVER

    def send(self, frame: bytes) -> None:
        delay = int(self._world.chance.expovariate(1 / self._slowness) * SECOND)
        self._last = max(self._last, self._world.now_ns() + delay)
        self._world.at(self._last, self._deliver, frame)

    def cut(self, grace: float) -> None:
        """Nothing arrives later than so many seconds from now."""
        self._until = min(self._until, self._world.now_ns() + int(grace * SECOND))

    def _deliver(self, frame: bytes) -> None:
        if self._world.now_ns() <= self._until:
            self._arrive(frame)


class Link:
    """`worker` and `server` are its ends; `session` is the engine's view of it."""

    def __init__(self, world: World, worker: Side, server: Side) -> None:
        self._world = world
        self._ends = {"worker": worker, "server": server}
        slowness = world.chance.choice((0.0005, 0.005, 0.1))
        self._up = Pipe(world, slowness, lambda frame: server.received(self, frame))
        self._down = Pipe(world, slowness, lambda frame: worker.received(self, frame))
        self._flushing = False
        self.cut_already = False
        self.session: Session

    def to_engine(self, frame: bytes) -> None:
        self._up.send(frame)

    def wake(self, session: Session) -> None:
        """The engine has something for the worker: it leaves at the end of this moment."""
        if not self._flushing:
            self._flushing = True
            self._world.after(0, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        for frame in self.session.take():
            self._down.send(frame)
        if self.session.close_code:
            self.cut(0.2, 0.0)

    def cut(self, worker_notices: float, server_notices: float) -> None:
        """It breaks now; the ends notice after so many seconds."""
        if self.cut_already:
            return
        self.cut_already = True
        for pipe in (self._up, self._down):
            pipe.cut(self._world.chance.choice((0.0, 0.0, 0.05, 0.5)))
        self._world.after(worker_notices, self._end, "worker")
        self._world.after(server_notices, self._end, "server")

    def _end(self, who: str) -> None:
        if (end := self._ends.pop(who, None)) is not None:
            end.ended(self)
