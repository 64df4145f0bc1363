"""Metrics out of a telemetry frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from iii_engine.core.spans import Resource, Scope
from iii_engine.modules.observability.frames import otlp
from iii_engine.modules.observability.frames.sources import resource_of, scope_of
from iii_engine.modules.observability.metrics.metric import (
    Attributes,
    Cumulative,
    HistogramPoint,
    Metric,
    MetricType,
    NumberPoint,
)

_decoder = msgspec.json.Decoder(otlp.MetricsRequest, strict=False)

_TEMPORALITIES: Final = ("UNSPECIFIED", "DELTA", "CUMULATIVE")
_CUMULATIVE: Final = 2


def read_metrics(body: memoryview, now_ns: int) -> Iterator[Metric]:
    """The metrics of a frame that was received at `now_ns`; kinds that are not known are left
    out."""
    for group in _decoder.decode(body).resource_metrics or ():
        resource = resource_of(group.resource)
        for scoped in group.scope_metrics or ():
            scope = scope_of(scoped.scope)
            for metric in scoped.metrics or ():
                if (found := _metric(metric, resource, scope, now_ns)) is not None:
                    yield found


def _metric(
    metric: otlp.OtlpMetric, resource: Resource, scope: Scope, now_ns: int
) -> Metric | None:
    points: list[NumberPoint] | list[HistogramPoint]
    kind: MetricType
    temporality: otlp.Enum = None
    if metric.sum is not None:
        kind = "counter" if metric.sum.is_monotonic else "updowncounter"
        temporality = metric.sum.aggregation_temporality
        points = _numbers(metric.sum.data_points, now_ns)
    elif metric.histogram is not None:
        kind = "histogram"
        temporality = metric.histogram.aggregation_temporality
        points = [_spread(point, now_ns) for point in metric.histogram.data_points or ()]
    elif metric.gauge is not None:
        kind = "gauge"
        points = _numbers(metric.gauge.data_points, now_ns)
    else:
        return None
    totals = otlp.number(temporality, _TEMPORALITIES, "AGGREGATION_TEMPORALITY_") == _CUMULATIVE
    return (Cumulative if totals else Metric)(
        metric.name,
        metric.description or "",
        metric.unit or "",
        kind,
        points,
        resource.service_name,
        now_ns,
        scope.name,
        scope.version,
    )


def _numbers(points: list[otlp.OtlpNumberPoint] | None, now_ns: int) -> list[NumberPoint]:
    return [
        NumberPoint(
            float(point.as_int if point.as_int is not None else point.as_double or 0),
            _attributes(point.attributes),
            point.time_unix_nano or now_ns,
        )
        for point in points or ()
    ]


def _spread(point: otlp.OtlpHistogramPoint, now_ns: int) -> HistogramPoint:
    return HistogramPoint(
        point.count or 0,
        point.sum or 0.0,
        point.bucket_counts or [],
        point.explicit_bounds or [],
        point.min,
        point.max,
        _attributes(point.attributes),
        point.time_unix_nano or now_ns,
    )


def _attributes(pairs: otlp.KeyValues) -> Attributes:
    return [(pair.key, otlp.text(pair.value)) for pair in pairs or ()]
