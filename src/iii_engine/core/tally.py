"""How often a function was called, with what success, and how long its calls took.

Durations are counted by powers of two nanoseconds: the number of a duration's bits is its place, so
counting one is an addition. `distribution` makes seconds of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from iii_engine.core.meters import Distribution

#: Bits of the shortest and longest durations that are told apart: 16 µs and 69 s.
SHORTEST: Final = 14
LONGEST: Final = 36
#: Upper bounds of the buckets in seconds.
BOUNDS: Final = tuple((1 << bits) / 1e9 for bits in range(SHORTEST, LONGEST + 1))

#: Functions without a provider whose tallies are kept: who comes back counts on.
DEPARTED: Final = 10_000


class Tally:
    """Of one function id, whoever answered. `durations[bits]` counts the calls."""

    __slots__ = ("durations", "errors", "nanoseconds")

    def __init__(self) -> None:
        self.durations = [0] * 65
        self.errors = 0
        self.nanoseconds = 0

    @property
    def calls(self) -> int:
        return sum(self.durations)


class Tallies:
    """The tallies of all function ids that were ever called, but for the oldest gone ones."""

    def __init__(self) -> None:
        self._live: dict[str, Tally] = {}
        self._departed: dict[str, Tally] = {}

    def of(self, function_id: str) -> Tally:
        """The one to count on, also when the function was gone for a while."""
        tally = self._live.get(function_id)
        if tally is None:
            known = function_id in self._departed
            tally = self._departed.pop(function_id) if known else Tally()
            self._live[function_id] = tally
        return tally

    def depart(self, function_id: str) -> None:
        """The function is gone; calls under way may still be counted."""
        tally = self._live.pop(function_id)
        if any(tally.durations) or tally.errors:
            self._departed[function_id] = tally
            if len(self._departed) > DEPARTED:
                del self._departed[next(iter(self._departed))]

    def __iter__(self) -> Iterator[tuple[str, Tally]]:
        """Those of the functions that there are, and then of those that are gone."""
        yield from self._live.items()
        yield from self._departed.items()


def distribution(tallies: Iterable[Tally], per_second: int = 1) -> Distribution:
    """The durations of all in seconds, or in parts of one: 1,000 for milliseconds."""
    merged = [0] * 65
    nanoseconds = 0
    for tally in tallies:
        nanoseconds += tally.nanoseconds
        for bits, count in enumerate(tally.durations):
            merged[bits] += count
    counts = (
        sum(merged[: SHORTEST + 1]),
        *merged[SHORTEST + 1 : LONGEST + 1],
        sum(merged[LONGEST + 1 :]),
    )
    bounds = BOUNDS if per_second == 1 else tuple(bound * per_second for bound in BOUNDS)
    return Distribution(sum(counts), max(nanoseconds, 0) * 1e-9 * per_second, counts, bounds)
