"""The newest value of every series that workers report: one name, source and set of attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from iii_engine.core.meters import Distribution
from iii_engine.modules.observability.metrics.distributions import added, of_point
from iii_engine.modules.observability.metrics.metric import (
    Cumulative,
    HistogramPoint,
    Metric,
    MetricType,
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


class SeriesTable:
    """Series by key, the one that was reported longest ago first."""

    def __init__(self) -> None:
        self._series: dict[Key, Series] = {}

    def take(self, metric: Metric) -> None:
        """Apply the points of a report."""
        grows = metric.metric_type != "gauge" and not isinstance(metric, Cumulative)
        for point in metric.data_points:
            attributes = tuple(sorted(point.attributes))
            key = (metric.name, metric.service_name, attributes)
            value = of_point(point) if isinstance(point, HistogramPoint) else point.value
            before = self._series.pop(key, None)
            if grows and before is not None:
                value = _sum(before.value, value)
            self._series[key] = Series(
                metric.name,
                metric.metric_type,
                metric.description,
                metric.service_name,
                attributes,
                value,
                metric.timestamp_unix_nano,
            )
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


def _sum(before: float | Distribution, value: float | Distribution) -> float | Distribution:
    """What both tell together; a series that turns from numbers to a distribution begins anew."""
    if isinstance(before, Distribution):
        return added(before, value) if isinstance(value, Distribution) else value
    return value if isinstance(value, Distribution) else before + value
