"""What waits to be sent: bounded, taken in batches, by one task that nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from iii_engine.tasks import end_tasks

log = logging.getLogger("iii.export")

T = TypeVar("T")

#: Records that may wait; one more drops the oldest.
CAPACITY: Final = 16_384


class Pipeline(Generic[T]):
    """`deliver` gets at most `batch` records at a time, and the next when it is done.

    A batch leaves when it is full or `interval` seconds after its first record came.
    """

    def __init__(
        self,
        deliver: Callable[[Sequence[T]], Awaitable[None]],
        on_drop: Callable[[int], None],
        *,
        batch: int,
        interval: float,
    ) -> None:
        self.batch = batch
        self.interval = interval
        self._deliver = deliver
        self._on_drop = on_drop
        self._waiting: deque[T] = deque()
        self._full = asyncio.Event()
        self._some = asyncio.Event()
        self._flushing = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def offer(self, records: Sequence[T]) -> None:
        """Take records to be sent later. Never waits, never fails."""
        waiting = self._waiting
        waiting.extend(records)
        if (excess := len(waiting) - CAPACITY) > 0:
            for _ in range(excess):
                waiting.popleft()
            self._on_drop(excess)
        if waiting:
            self._some.set()
        if len(waiting) >= self.batch:
            self._full.set()

    def __len__(self) -> int:
        return len(self._waiting)

    async def close(self, seconds: float) -> None:
        """Send what waits, for at most this long; what is left then is dropped and counted."""
        self._flushing = True
        self._some.set()
        self._full.set()
        await asyncio.wait({self._task}, timeout=seconds)
        await end_tasks([self._task])
        if self._waiting:
            self._on_drop(len(self._waiting))
            self._waiting.clear()

    async def _run(self) -> None:
        while self._waiting or not self._flushing:
            await self._some.wait()
            await self._batch_or_interval()
            batch = [self._waiting.popleft() for _ in range(min(self.batch, len(self._waiting)))]
            if not self._flushing:
                if not self._waiting:
                    self._some.clear()
                if len(self._waiting) < self.batch:
                    self._full.clear()
            if batch:
                await self._send(batch)

    async def _batch_or_interval(self) -> None:
        try:
            async with asyncio.timeout(self.interval):
                await self._full.wait()
        except TimeoutError:
            pass

    async def _send(self, batch: Sequence[T]) -> None:
        try:
            await self._deliver(batch)
        except asyncio.CancelledError:
            self._on_drop(len(batch))
            raise
        except Exception:
            self._on_drop(len(batch))
            log.exception("a batch of telemetry could not be sent")
