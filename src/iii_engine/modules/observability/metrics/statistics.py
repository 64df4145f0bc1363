"""Numbers of one stretch of time, summed up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from iii_engine.modules.observability.metrics.metric import HistogramPoint, Metric, NumberPoint

#: With fewer values there are no percentiles.
MIN_VALUES: Final = 5


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


def aggregates(metrics: Iterable[Metric], interval_ns: int) -> list[Aggregate]:
    """Their points in stretches of time, by name and time. Stretches begin at whole intervals."""
    values: dict[tuple[str, int], list[float]] = {}
    for metric in metrics:
        for point in metric.data_points:
            value = representative(point)
            if value is not None:
                start = point_time(point, metric) // interval_ns * interval_ns
                values.setdefault((metric.name, start), []).append(value)
    return [_aggregate(*key, found, interval_ns) for key, found in sorted(values.items())]


def _aggregate(name: str, start_ns: int, values: list[float], interval_ns: int) -> Aggregate:
    statistics = Statistics()
    for value in values:
        statistics.add(value)
    aggregate = statistics.aggregate(name, start_ns, interval_ns)
    if len(values) >= MIN_VALUES:
        values.sort()
        aggregate.percentiles = Percentiles(
            *(percentile(values, share) for share in (0.5, 0.75, 0.9, 0.95, 0.99))
        )
    return aggregate


def percentile(ascending: list[float], share: float) -> float:
    """The value that this share of all is below; there is at least one."""
    return ascending[min(int(len(ascending) * share), len(ascending) - 1)]
