"""The newest value of every series that workers report: one name, source and set of attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from iii_engine.core.meters import Distribution
from iii_engine.modules.observability.metrics.distributions import added, grown, of_point
from iii_engine.modules.observability.metrics.metric import (
    Cumulative,
    HistogramPoint,
    Metric,
    MetricType,
    NumberPoint,
)

#: Beyond this the series that was reported longest ago is forgotten.
MAX_SERIES: Final = 10_000

#: Name, service and attributes.
Key: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...]]


class Series(NamedTuple):
    """`value` of a counter or histogram is the total, however it is reported."""

    name: str
    kind: MetricType
    description: str
    service_name: str
    attributes: tuple[tuple[str, str], ...]
    value: float | Distribution
    reported_ns: int


class Change(NamedTuple):
    """What a point says is new: for a gauge its value, for the other kinds what was added."""

    name: str
    kind: MetricType
    value: float | Distribution
    time_ns: int


class SeriesTable:
    """Series by key, the one that was reported longest ago first."""

    def __init__(self) -> None:
        self._series: dict[Key, Series] = {}

    def take(self, metric: Metric) -> list[Change]:
        """Apply the points of a report; what is new with each of them."""
        return [self._apply(metric, point) for point in metric.data_points]

    def _apply(self, metric: Metric, point: NumberPoint | HistogramPoint) -> Change:
        kind = metric.metric_type
        attributes = tuple(sorted(point.attributes))
        key = (metric.name, metric.service_name, attributes)
        before = self._series.pop(key, None)
        total = new = of_point(point) if isinstance(point, HistogramPoint) else point.value
        if isinstance(metric, Cumulative):
            if kind in ("counter", "histogram"):
                new = _growth(before.value if before else None, total)
        elif kind != "gauge" and before is not None:
            total = _sum(before.value, new)
        self._series[key] = Series(
            metric.name,
            kind,
            metric.description,
            metric.service_name,
            attributes,
            total,
            metric.timestamp_unix_nano,
        )
        self._bound()
        return Change(
            metric.name, kind, new, point.timestamp_unix_nano or metric.timestamp_unix_nano
        )

    def _bound(self) -> None:
        while len(self._series) > MAX_SERIES:
            del self._series[next(iter(self._series))]

    def forget(self, before_ns: int) -> None:
        """Drop what was not reported since."""
        while self._series:
            key = next(iter(self._series))
            if self._series[key].reported_ns >= before_ns:
                return
            del self._series[key]

    def __iter__(self) -> Iterator[Series]:
        return iter(self._series.values())

    def __len__(self) -> int:
        return len(self._series)


def _growth(before: float | Distribution | None, now: float | Distribution) -> float | Distribution:
    """What came between two totals. The first of a series is new as a whole, and so is one that
    fell: its worker began anew."""
    if isinstance(now, Distribution):
        return grown(before if isinstance(before, Distribution) else None, now)
    if before is None or isinstance(before, Distribution) or now < before:
        return now
    return now - before


def _sum(before: float | Distribution, value: float | Distribution) -> float | Distribution:
    """What both tell together; a series that turns from numbers to a distribution begins anew."""
    if isinstance(before, Distribution):
        return added(before, value) if isinstance(value, Distribution) else value
    return value if isinstance(value, Distribution) else before + value
