"""Reports of metrics, as workers would have sent them."""

from __future__ import annotations

from iii_engine.modules.observability.metrics.metric import (
    Cumulative,
    HistogramPoint,
    Metric,
    MetricType,
    NumberPoint,
)

SECOND = 1_000_000_000


def report(
    name: str,
    *values: float,
    at_ns: int,
    kind: MetricType = "gauge",
    service: str = "svc",
    cumulative: bool = False,
    **attributes: str,
) -> Metric:
    """A metric with one point per value, all of one series."""
    pairs = list(attributes.items())
    points = [NumberPoint(value, pairs, at_ns) for value in values]
    kinds = Cumulative if cumulative else Metric
    return kinds(name, "", "", kind, points, service, at_ns)


def spread(
    name: str,
    *counts: int,
    bounds: tuple[float, ...] = (1, 10),
    total: float = 0,
    at_ns: int,
    cumulative: bool = False,
) -> Metric:
    """A histogram with one point; `counts` are those of its buckets, `total` its sum."""
    point = HistogramPoint(sum(counts), total, list(counts), list(bounds), None, None, [], at_ns)
    kinds = Cumulative if cumulative else Metric
    return kinds(name, "", "", "histogram", [point], "svc", at_ns)
