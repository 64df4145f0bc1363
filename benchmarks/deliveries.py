"""What many receivers got of what one sender sent them all: how much, and how late."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Deliveries:
    """Counts what came to all receivers; keeps the delays, in ns, while `counting`."""

    def __init__(self) -> None:
        self.total = 0
        self.counting = False
        self.delays: list[int] = []

    async def missing(self, wanted: int) -> int:
        """How many of the wanted are not there once nothing comes any more."""
        before = -1
        while self.total < wanted and self.total != before:
            before = self.total
            await asyncio.sleep(0.5)
        return wanted - self.total


def middle_and_tail(delays: Sequence[int]) -> tuple[float, float]:
    """p50 and p99 in microseconds of delays in ns; 0 where there are none."""
    times = sorted(delays) or [0]
    return times[len(times) // 2] / 1e3, times[len(times) * 99 // 100] / 1e3
