"""Numbers of one stretch of time, summed up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from iii_engine.modules.observability.metrics.metric import HistogramPoint, Metric, NumberPoint
from iii_engine.modules.pieces import paced
from iii_engine.modules.sorting import Sorted, Values

#: With fewer values there are no percentiles.
MIN_VALUES: Final = 5
#: Points that are added up in one piece.
POINTS: Final = 1000


class Percentiles(Struct):
    p50: float
    p75: float
    p90: float
    p95: float
    p99: float


class Aggregate(Struct, omit_defaults=True):
    """The points of one metric within `[bucket_start_ns, bucket_end_ns)`."""

    name: str
    bucket_start_ns: int
    bucket_end_ns: int
    count: int
    sum: float
    min: float
    max: float
    avg: float
    percentiles: Percentiles | None = None


class Statistics:
    """Count, sum and extremes of what is added, in constant space."""

    __slots__ = ("count", "max", "min", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.min = float("inf")
        self.max = float("-inf")

    def add(self, value: float) -> None:
        self.count += 1
        self.sum += value
        self.min = min(self.min, value)
        self.max = max(self.max, value)

    def aggregate(self, name: str, start_ns: int, length_ns: int) -> Aggregate:
        average = self.sum / self.count
        end_ns = start_ns + length_ns
        return Aggregate(name, start_ns, end_ns, self.count, self.sum, self.min, self.max, average)


def point_time(point: NumberPoint | HistogramPoint, metric: Metric) -> int:
    """When a point was measured or, where that is not said, received."""
    return point.timestamp_unix_nano or metric.timestamp_unix_nano


def representative(point: NumberPoint | HistogramPoint) -> float | None:
    """The one number that stands for a point: of a distribution its average."""
    if isinstance(point, NumberPoint):
        return point.value
    return point.sum / point.count if point.count else None


def aggregates(metrics: Iterable[Metric], interval_ns: int) -> Iterator[Aggregate | None]:
    """Their points in stretches of time, by name and time, with None where others may go on.

    Stretches begin at whole intervals.
    """
    stretches: dict[tuple[str, int], Values] = {}
    order: Sorted[tuple[str, int]] = Sorted(tuple)
    for item in paced(_points(metrics), POINTS):
        if item is None:
            yield None
            continue
        metric, point = item
        value = representative(point)
        if value is not None:
            stretch = (metric.name, point_time(point, metric) // interval_ns * interval_ns)
            values = stretches.get(stretch)
            if values is None:
                values = stretches[stretch] = Values()
                order.add(stretch)
            values.add(value)
    for key in order.page():
        yield None if key is None else _aggregate(*key, stretches[key], interval_ns)


def _points(metrics: Iterable[Metric]) -> Iterator[tuple[Metric, NumberPoint | HistogramPoint]]:
    for metric in metrics:
        for point in metric.data_points:
            yield metric, point


def _aggregate(name: str, start_ns: int, found: Values, interval_ns: int) -> Aggregate:
    values = found.ascending()
    count, total = len(values), sum(values)
    aggregate = Aggregate(
        name,
        start_ns,
        start_ns + interval_ns,
        count,
        total,
        values[0],
        values[-1],
        total / count,
    )
    if count >= MIN_VALUES:
        aggregate.percentiles = Percentiles(
            *(percentile(values, share) for share in (0.5, 0.75, 0.9, 0.95, 0.99))
        )
    return aggregate


def percentile(ascending: list[float], share: float) -> float:
    """The value that this share of all is below; there is at least one."""
    return ascending[min(int(len(ascending) * share), len(ascending) - 1)]
