"""Metrics that a program counts with OpenTelemetry, sent to the engine with ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    PeriodicExportingMetricReader,
    Sum,
)
from opentelemetry.sdk.resources import Resource

from iii_sdk.telemetry import otlp
from iii_sdk.telemetry.exporter import Exporter

#: OTLP's number for each way to count: since the last report, or since the start.
TEMPORALITY: Final = {"DELTA": 1, "CUMULATIVE": 2}


def install(exporter: Exporter) -> None:
    """Send the metrics of the program too. One with a meter provider of its own keeps that.

    Of several instances in a process the first one tells of them, until it is shut down.
    """
    if _forward.exporter is not None and _forward.exporter.closed:
        _forward.exporter = exporter
    if isinstance(metrics.get_meter_provider(), MeterProvider):
        return
    _forward.exporter = exporter
    interval = exporter.settings.metrics_interval * 1000
    reader = PeriodicExportingMetricReader(_forward, export_interval_millis=interval)
    resource = Resource.create({**exporter.resource})
    metrics.set_meter_provider(MeterProvider([reader], resource))


class _Forward(MetricExporter):
    """Called on the reader's thread, once in every interval."""

    exporter: Exporter | None = None

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any
    ) -> MetricExportResult:
        """Hand over what was counted; what the engine does not take now is dropped."""
        records = [
            record
            for resource in metrics_data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if (record := _record(metric)) is not None
        ]
        if self.exporter is not None:
            self.exporter.metrics(records)
        return MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing is kept here."""

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True


_forward: Final = _Forward()


def _record(metric: Metric) -> dict[str, Any] | None:
    """As OTLP has it; None for a kind that the engine does not keep."""
    data = metric.data
    record: dict[str, Any] = {
        "name": metric.name,
        "description": metric.description or "",
        "unit": metric.unit or "",
    }
    if isinstance(data, Gauge):
        return {**record, "gauge": {"dataPoints": [_number(p) for p in data.data_points]}}
    if isinstance(data, Sum):
        points = [_number(p) for p in data.data_points]
        temporality = TEMPORALITY[data.aggregation_temporality.name]
        kind = {"aggregationTemporality": temporality, "isMonotonic": data.is_monotonic}
        return {**record, "sum": {"dataPoints": points, **kind}}
    if isinstance(data, Histogram):
        buckets = [_distribution(p) for p in data.data_points]
        temporality = TEMPORALITY[data.aggregation_temporality.name]
        return {
            **record,
            "histogram": {"dataPoints": buckets, "aggregationTemporality": temporality},
        }
    return None


def _head(point: NumberDataPoint | HistogramDataPoint) -> dict[str, Any]:
    attributes: Mapping[str, object] = point.attributes or {}
    return {
        "attributes": otlp.attributes(attributes),
        "startTimeUnixNano": str(point.start_time_unix_nano or 0),
        "timeUnixNano": str(point.time_unix_nano),
    }


def _number(point: NumberDataPoint) -> dict[str, Any]:
    value = point.value
    kind = {"asInt": str(value)} if isinstance(value, int) else {"asDouble": value}
    return {**_head(point), **kind}


def _distribution(point: HistogramDataPoint) -> dict[str, Any]:
    return {
        **_head(point),
        "count": str(point.count),
        "sum": point.sum,
        "min": point.min,
        "max": point.max,
        "bucketCounts": [str(count) for count in point.bucket_counts],
        "explicitBounds": list(point.explicit_bounds),
    }
