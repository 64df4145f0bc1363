"""Jobs for a server, in batches: what comes while one batch is under way shares the next."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final, Generic, TypeVar

log = logging.getLogger("iii.storage")

J = TypeVar("J")

#: Jobs of one batch, at most.
MAX_BATCH: Final = 1000
#: Jobs that may wait, those under way included; more are refused.
MAX_WAITING: Final = 10_000


class Pump(Generic[J]):
    """Calls `settle` with the oldest jobs, one call at a time; it says how many it has dealt with.

    The others stay in front. `settle` should not raise: its jobs are then dropped with a log line.
    """

    def __init__(self, settle: Callable[[list[J]], Awaitable[int]]) -> None:
        self._settle = settle
        self._jobs: deque[J] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, job: J) -> bool:
        """False when too many wait already."""
        if len(self._jobs) >= MAX_WAITING:
            return False
        self._jobs.append(job)
        if self._task is None:
            # It first runs after this tick of the loop: all that the tick brings is one batch.
            self._task = asyncio.get_running_loop().create_task(self._run())
        return True

    async def drained(self) -> None:
        """Wait until all jobs were dealt with."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        jobs = self._jobs
        try:
            while jobs:
                batch = list(islice(jobs, MAX_BATCH))
                settled = len(batch)
                try:
                    settled = await self._settle(batch)
                except Exception:
                    log.exception("%d jobs for a server were dropped", len(batch))
                for _ in range(settled):
                    jobs.popleft()
        finally:
            self._task = None
