"""How many jobs of one group may run at the same time, and how many may start in a period."""

from __future__ import annotations

from msgspec import Struct


class Rate(Struct, frozen=True):
    """`limit` starts at once, then one more whenever a `limit`th of the period is over."""

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
    """The state of one rate: the time at which everything that has started is paid for."""

    __slots__ = ("_gap_us", "_period_us", "_until_us")

    def __init__(self, rate: Rate) -> None:
        self._period_us = rate.period_ms * 1000
        self._gap_us = self._period_us // rate.limit
        self._until_us = 0

    def free_ms(self) -> int:
        """From when on one more may start."""
        return -((self._period_us - self._gap_us - self._until_us) // 1000)

    def idle_ms(self) -> int:
        """From when on nothing needs to be remembered."""
        return -(-self._until_us // 1000)

    def set_back(self, by_ms: int) -> None:
        """The clock was, by so much."""
        self._until_us -= by_ms * 1000

    def start(self, now_ms: int) -> None:
        self._until_us = max(self._until_us, now_ms * 1000) + self._gap_us
