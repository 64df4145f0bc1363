"""A store whose commits take time, fail, and are interrupted by the end of the process.

A commit is all or nothing, as the interface promises; whoever waits for one that was interrupted
never hears of it, and afterwards either all of it is there or nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from tests.simulation.world import World

from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.buffer import Buffer
from iii_engine.storage.local import LocalReads
from iii_engine.storage.memory import Maps

T = TypeVar("T")
Done: TypeAlias = Callable[[Any, BaseException | None], None]


class Disk(LocalReads):
    """A `LocalStore` for as long as the process lives; `maps` is what is on the platter."""

    def __init__(self, world: World, maps: Maps, crash: Callable[[], None]) -> None:
        self.maps = maps
        self._world = world
        self._crash = crash
        self._queue: deque[tuple[Callable[[Transaction], Any], Done]] = deque()
        self._busy = False

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def read(self, work: Callable[[Transaction], T]) -> T:
        return work(self.maps)

    @property
    def _pages(self) -> Maps:
        return self.maps

    def write(
        self,
        work: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        self._queue.append((work, done))
        if not self._busy:
            self._busy = True
            self._world.after(0, self._begin)

    def _begin(self) -> None:
        """Run what waits; the commit that they share ends a little later."""
        batch = Buffer(self.maps)
        waiting: list[tuple[Done, Any, Exception | None]] = []
        while self._queue:
            work, done = self._queue.popleft()
            buffer = Buffer(batch)
            try:
                result, problem = work(buffer), None
            except Exception as error:  # noqa: BLE001  (it is the caller's, who gets it)
                result, problem = None, error
            else:
                apply(buffer, batch)
            waiting.append((done, result, problem))
        self._world.after(self._world.chance.uniform(0.001, 0.05), self._end, batch, waiting)

    def _end(self, batch: Buffer, waiting: list[tuple[Done, Any, Exception | None]]) -> None:
        dice = self._world.chance.random()
        if dice < 0.05:
            if dice < 0.025:
                apply(batch, self.maps)
            self._crash()
            return
        failure = StoreError("disk full") if dice < 0.25 else None
        if failure is None:
            apply(batch, self.maps)
        self._busy = bool(self._queue)
        if self._busy:
            self._world.after(0, self._begin)
        for done, result, problem in waiting:
            if problem is None and failure is None:
                done(result, None)
            else:
                done(None, failure or problem)  # what it saw may be gone with the others


def apply(buffer: Buffer, target: Buffer | Maps) -> None:
    for space, key, value in buffer.writes:
        if key is None:
            target.delete_space(space)
        elif value is None:
            target.delete(space, key)
        else:
            target.put(space, key, value)
