"""One resolution of rollups: buckets of the same length, kept for the same time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from iii_engine.core.meters import Distribution
from iii_engine.modules.observability.metrics.distributions import added
from iii_engine.modules.observability.metrics.statistics import Statistics
from iii_engine.modules.pieces import paced
from iii_engine.modules.sorting import RUN, Sorted

SECOND: Final = 1_000_000_000

#: Metrics times buckets that a level holds; beyond it the oldest time goes.
MAX_BUCKETS: Final = 50_000

Summary: TypeAlias = Statistics | Distribution


class Resolution(NamedTuple):
    length_ns: int
    kept_ns: int


#: By the number that callers give.
RESOLUTIONS: Final = (
    Resolution(60 * SECOND, 3600 * SECOND),
    Resolution(300 * SECOND, 6 * 3600 * SECOND),
    Resolution(3600 * SECOND, 7 * 86_400 * SECOND),
)


class Bucket(NamedTuple):
    """What came of one metric within `[start_ns, end_ns)`."""

    name: str
    start_ns: int
    end_ns: int
    summary: Summary


class Level:
    """Buckets by time, which begin at whole multiples of their length, and then by name."""

    def __init__(self, resolution: Resolution) -> None:
        self.resolution = resolution
        self._times: dict[int, dict[str, Summary]] = {}
        self._count = 0

    def add(self, name: str, value: float | Distribution, time_ns: int) -> None:
        start = time_ns // self.resolution.length_ns * self.resolution.length_ns
        names = self._times.setdefault(start, {})
        summary = names.get(name)
        if summary is None:
            self._count += 1
            if isinstance(value, Distribution):
                names[name] = value
                return
            summary = names[name] = Statistics()
        if isinstance(value, Distribution):
            # A name that was a number before begins anew as what it is now.
            names[name] = added(summary, value) if isinstance(summary, Distribution) else value
        elif isinstance(summary, Statistics):
            summary.add(value)

    def clean(self, now_ns: int) -> None:
        """Drop what is older than it is kept, and more of the oldest when there is too much."""
        oldest = now_ns - self.resolution.kept_ns
        for start in sorted(self._times):
            if start + self.resolution.length_ns > oldest and self._count <= MAX_BUCKETS:
                return
            self._count -= len(self._times.pop(start))

    def find(self, start_ns: int, end_ns: int, name: str | None) -> Iterator[Bucket | None]:
        """Those that overlap the time, by name and time, with None where others may go on."""
        length = self.resolution.length_ns
        overlapping = [
            (start, list(names.items()) if name is None else _only(names, name))
            for start, names in self._times.items()
            if start + length > start_ns and start <= end_ns
        ]
        buckets = (
            Bucket(known, start, start + length, summary)
            for start, names in overlapping
            for known, summary in names
        )
        found: Sorted[Bucket] = Sorted(itemgetter(0, 1))
        for bucket in paced(buckets, RUN):
            if bucket is None:
                yield None
            else:
                found.add(bucket)
        yield from found.page()

    def __len__(self) -> int:
        return self._count


def _only(names: Mapping[str, Summary], name: str) -> list[tuple[str, Summary]]:
    return [(name, names[name])] if name in names else []
