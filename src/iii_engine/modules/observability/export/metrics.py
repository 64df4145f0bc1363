"""Metrics as an OTLP request: readings of the engine, and what workers reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from iii_engine.core.meters import Distribution, Reading
from iii_engine.core.spans import Resource, Scope
from iii_engine.modules.observability.export import messages as otlp
from iii_engine.modules.observability.export.values import key_values, resource
from iii_engine.modules.observability.metrics.metric import (
    Cumulative,
    HistogramPoint,
    Metric,
    MetricType,
)

INCREASES: Final = 1
TOTALS: Final = 2


def of_engine(
    readings: Iterable[Reading], source: Resource, scope: Scope, start_ns: int, now_ns: int
) -> otlp.ResourceMetrics:
    """Totals since `start_ns`."""
    start, now = str(start_ns), str(now_ns)
    metrics = []
    for reading in readings:
        numbers, spreads = [], []
        for values, value in reading.points:
            attributes = key_values(zip(reading.labels, values, strict=True))
            if isinstance(value, Distribution):
                spreads.append(
                    otlp.HistogramPoint(
                        now,
                        str(value.total),
                        value.sum,
                        [str(count) for count in value.counts],
                        list(value.bounds),
                        start,
                        value.min,
                        value.max,
                        attributes,
                    )
                )
            else:
                began = None if reading.kind == "gauge" else start
                numbers.append(otlp.NumberPoint(now, value, began, attributes))
        about = otlp.Metric(reading.name, reading.description, reading.unit)
        metrics.append(_filled(about, reading.kind, TOTALS, numbers, spreads))
    own = otlp.Scope(scope.name or "", scope.version or "")
    return otlp.ResourceMetrics(resource(source.attributes), [otlp.ScopeMetrics(own, metrics)])


def of_workers(reports: Iterable[Metric]) -> list[otlp.ResourceMetrics]:
    """What workers reported, by service."""
    services: dict[str, dict[tuple[str, str], list[otlp.Metric]]] = {}
    for report in reports:
        scope = (
            report.instrumentation_scope_name or "",
            report.instrumentation_scope_version or "",
        )
        scopes = services.setdefault(report.service_name, {})
        scopes.setdefault(scope, []).append(_report(report))
    return [
        otlp.ResourceMetrics(
            resource({"service.name": service}),
            [otlp.ScopeMetrics(otlp.Scope(*scope), found) for scope, found in scopes.items()],
        )
        for service, scopes in services.items()
    ]


def _report(report: Metric) -> otlp.Metric:
    numbers, spreads = [], []
    for point in report.data_points:
        now = str(point.timestamp_unix_nano or report.timestamp_unix_nano)
        attributes = key_values(point.attributes)
        if isinstance(point, HistogramPoint):
            spreads.append(
                otlp.HistogramPoint(
                    now,
                    str(point.count),
                    point.sum,
                    [str(count) for count in point.bucket_counts],
                    point.explicit_bounds,
                    None,
                    point.min,
                    point.max,
                    attributes,
                )
            )
        else:
            numbers.append(otlp.NumberPoint(now, point.value, None, attributes))
    temporality = TOTALS if isinstance(report, Cumulative) else INCREASES
    about = otlp.Metric(report.name, report.description, report.unit)
    return _filled(about, report.metric_type, temporality, numbers, spreads)


def _filled(
    metric: otlp.Metric,
    kind: MetricType,
    temporality: int,
    numbers: list[otlp.NumberPoint],
    spreads: Sequence[otlp.HistogramPoint],
) -> otlp.Metric:
    if kind == "histogram":
        metric.histogram = otlp.Histogram(list(spreads), temporality)
    elif kind == "gauge":
        metric.gauge = otlp.Gauge(numbers)
    else:
        metric.sum = otlp.Sum(numbers, temporality, kind == "counter")
    return metric
