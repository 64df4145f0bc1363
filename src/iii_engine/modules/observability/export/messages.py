"""OTLP requests as they are in JSON: names in camel case, 64-bit integers as text, ids as hex.

Format: https://github.com/open-telemetry/opentelemetry-proto
"""

from __future__ import annotations

from msgspec import Struct


class AnyValue(Struct, rename="camel", omit_defaults=True):
    """One of these; none of them for null."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: str | None = None
    double_value: float | None = None
    array_value: ArrayValue | None = None
    kvlist_value: KeyValueList | None = None


class ArrayValue(Struct):
    values: list[AnyValue]


class KeyValue(Struct):
    key: str
    value: AnyValue


class KeyValueList(Struct):
    values: list[KeyValue]


class Resource(Struct):
    attributes: list[KeyValue]


class Scope(Struct, omit_defaults=True):
    name: str = ""
    version: str = ""


class Status(Struct, omit_defaults=True):
    code: int = 0
    message: str = ""


class Event(Struct, rename="camel", omit_defaults=True):
    time_unix_nano: str
    name: str
    attributes: list[KeyValue] = []


class Link(Struct, rename="camel", omit_defaults=True):
    trace_id: str
    span_id: str
    trace_state: str = ""
    attributes: list[KeyValue] = []


class Span(Struct, rename="camel", omit_defaults=True):
    trace_id: str
    span_id: str
    name: str
    kind: int
    start_time_unix_nano: str
    end_time_unix_nano: str
    parent_span_id: str = ""
    attributes: list[KeyValue] = []
    events: list[Event] = []
    links: list[Link] = []
    status: Status | None = None
    flags: int = 0


class ScopeSpans(Struct):
    scope: Scope
    spans: list[Span]


class ResourceSpans(Struct, rename="camel"):
    resource: Resource
    scope_spans: list[ScopeSpans]


class TracesRequest(Struct, rename="camel"):
    resource_spans: list[ResourceSpans]


class LogRecord(Struct, rename="camel", omit_defaults=True):
    time_unix_nano: str
    observed_time_unix_nano: str
    severity_number: int
    severity_text: str
    body: AnyValue
    attributes: list[KeyValue] = []
    trace_id: str = ""
    span_id: str = ""


class ScopeLogs(Struct, rename="camel"):
    scope: Scope
    log_records: list[LogRecord]


class ResourceLogs(Struct, rename="camel"):
    resource: Resource
    scope_logs: list[ScopeLogs]


class LogsRequest(Struct, rename="camel"):
    resource_logs: list[ResourceLogs]


class NumberPoint(Struct, rename="camel", omit_defaults=True):
    time_unix_nano: str
    as_double: float
    start_time_unix_nano: str | None = None
    attributes: list[KeyValue] = []


class HistogramPoint(Struct, rename="camel", omit_defaults=True):
    time_unix_nano: str
    count: str
    sum: float
    bucket_counts: list[str]
    explicit_bounds: list[float]
    start_time_unix_nano: str | None = None
    min: float | None = None
    max: float | None = None
    attributes: list[KeyValue] = []


class Gauge(Struct, rename="camel"):
    data_points: list[NumberPoint]


class Sum(Struct, rename="camel"):
    """`aggregation_temporality` is 1 for increases and 2 for totals."""

    data_points: list[NumberPoint]
    aggregation_temporality: int
    is_monotonic: bool


class Histogram(Struct, rename="camel"):
    data_points: list[HistogramPoint]
    aggregation_temporality: int


class Metric(Struct, omit_defaults=True):
    """One of gauge, sum and histogram."""

    name: str
    description: str = ""
    unit: str = ""
    gauge: Gauge | None = None
    sum: Sum | None = None
    histogram: Histogram | None = None


class ScopeMetrics(Struct):
    scope: Scope
    metrics: list[Metric]


class ResourceMetrics(Struct, rename="camel"):
    resource: Resource
    scope_metrics: list[ScopeMetrics]


class MetricsRequest(Struct, rename="camel"):
    resource_metrics: list[ResourceMetrics]


Request = TracesRequest | LogsRequest | MetricsRequest
