"""How many jobs of one group may run at the same time, and how many may start in a period."""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct

#: Parts of a period that are told apart.
MOMENTS: Final = 64


class Rate(Struct, frozen=True):
    """No stretch of time as long as the period has more than `limit` starts."""

    limit: int
    period_ms: int = 1000


class Limits(Struct, frozen=True):
    """Limits of each group. `concurrency` 0 means none. `ordered` keeps the order of a group across
    retries: a job that must wait for its next attempt holds up those behind it. With `single` all
    jobs are one group, whatever they say."""

    concurrency: int = 0
    rate: Rate | None = None
    ordered: bool = False
    single: bool = False


class Meter:
    """The starts that still count, oldest first, as `[first, last, number]`.

    Those of one moment, a small part of the period, are one: they count until the last of them does
    not, so that a group takes the same memory however many may start.
    """

    __slots__ = ("_limit", "_moment_ms", "_moments", "_number", "_period_ms")

    def __init__(self, rate: Rate) -> None:
        self._limit = rate.limit
        self._period_ms = rate.period_ms
        self._moment_ms = -(-rate.period_ms // MOMENTS)
        self._moments: deque[list[int]] = deque()
        self._number = 0

    def free_ms(self) -> int:
        """From when on one more may start."""
        if self._number < self._limit:
            return 0
        return self._moments[0][1] + self._period_ms

    def idle_ms(self) -> int:
        """From when on nothing needs to be remembered."""
        return self._moments[-1][1] + self._period_ms if self._moments else 0

    def set_back(self, by_ms: int) -> None:
        """The clock was, by so much."""
        for moment in self._moments:
            moment[0] -= by_ms
            moment[1] -= by_ms

    def start(self, now_ms: int) -> None:
        moments = self._moments
        while moments and moments[0][1] + self._period_ms <= now_ms:
            self._number -= moments.popleft()[2]
        if moments and now_ms - moments[-1][0] < self._moment_ms:
            moments[-1][1] = max(moments[-1][1], now_ms)
            moments[-1][2] += 1
        else:
            moments.append([now_ms, now_ms, 1])
        self._number += 1
