"""Keeps floods of alike lines out of the log."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from iii_engine.core.timers import Timers

#: Lines of one kind in one period; then the rest is counted.
BURST: Final = 3
PERIOD_SECONDS: Final = 10.0


class LogGate:
    """What happens a thousand times is told three times, and at the end of the period how often."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._counts: dict[str, int] = {}

    def passes(self, kind: str, sum_up: Callable[[int], None]) -> bool:
        """Whether one more line of this kind is written; `sum_up` is told how many were not."""
        count = self._counts.get(kind, 0) + 1
        self._counts[kind] = count
        if count == 1:
            self._timers.after(PERIOD_SECONDS, partial(self._end, kind, sum_up))
        return count <= BURST

    def _end(self, kind: str, sum_up: Callable[[int], None]) -> None:
        left_out = self._counts.pop(kind) - BURST
        if left_out > 0:
            sum_up(left_out)
