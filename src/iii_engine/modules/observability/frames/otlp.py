"""The export requests of OTLP in JSON, as far as they are read; numbers may be text.

Format: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. What is absent or null is
as good as its default, what is unknown is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from iii_engine.core.spans import AttributeValue

#: Enumerations come as numbers or by name.
Enum: TypeAlias = int | str | None


class AnyValue(Struct, rename="camel"):
    """One of these; none of them is null."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    array_value: Values | None = None
    kvlist_value: Pairs | None = None
    bytes_value: str | None = None


class KeyValue(Struct):
    key: str
    value: AnyValue | None = None


class Values(Struct):
    values: list[AnyValue] | None = None


class Pairs(Struct):
    values: list[KeyValue] | None = None


KeyValues: TypeAlias = list[KeyValue] | None


class OtlpResource(Struct):
    attributes: KeyValues = None


class OtlpScope(Struct):
    name: str | None = None
    version: str | None = None


# -- spans ---------------------------------------------------------------------------------------


class OtlpEvent(Struct, rename="camel"):
    name: str | None = None
    time_unix_nano: int | None = None
    attributes: KeyValues = None


class OtlpLink(Struct, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    attributes: KeyValues = None


class OtlpStatus(Struct):
    code: Enum = None
    message: str | None = None


class OtlpSpan(Struct, rename="camel"):
    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    name: str | None = None
    kind: Enum = None
    start_time_unix_nano: int | None = None
    end_time_unix_nano: int | None = None
    attributes: KeyValues = None
    events: list[OtlpEvent] | None = None
    links: list[OtlpLink] | None = None
    status: OtlpStatus | None = None
    flags: int | None = None


class ScopeSpans(Struct):
    scope: OtlpScope | None = None
    spans: list[OtlpSpan] | None = None


class ResourceSpans(Struct, rename="camel"):
    resource: OtlpResource | None = None
    scope_spans: list[ScopeSpans] | None = None


class SpansRequest(Struct, rename="camel"):
    resource_spans: list[ResourceSpans] | None = None


# -- logs ----------------------------------------------------------------------------------------


class OtlpLog(Struct, rename="camel"):
    time_unix_nano: int | None = None
    observed_time_unix_nano: int | None = None
    severity_number: Enum = None
    severity_text: str | None = None
    body: AnyValue | None = None
    attributes: KeyValues = None
    trace_id: str | None = None
    span_id: str | None = None


class ScopeLogs(Struct, rename="camel"):
    scope: OtlpScope | None = None
    log_records: list[OtlpLog] | None = None


class ResourceLogs(Struct, rename="camel"):
    resource: OtlpResource | None = None
    scope_logs: list[ScopeLogs] | None = None


class LogsRequest(Struct, rename="camel"):
    resource_logs: list[ResourceLogs] | None = None


# -- metrics -------------------------------------------------------------------------------------


class OtlpNumberPoint(Struct, rename="camel"):
    as_int: int | None = None
    as_double: float | None = None
    time_unix_nano: int | None = None
    attributes: KeyValues = None


class OtlpHistogramPoint(Struct, rename="camel"):
    count: int | None = None
    sum: float | None = None
    bucket_counts: list[int] | None = None
    explicit_bounds: list[float] | None = None
    min: float | None = None
    max: float | None = None
    time_unix_nano: int | None = None
    attributes: KeyValues = None


class OtlpGauge(Struct, rename="camel"):
    data_points: list[OtlpNumberPoint] | None = None


class OtlpSum(Struct, rename="camel"):
    data_points: list[OtlpNumberPoint] | None = None
    aggregation_temporality: Enum = None
    is_monotonic: bool | None = None


class OtlpHistogram(Struct, rename="camel"):
    data_points: list[OtlpHistogramPoint] | None = None
    aggregation_temporality: Enum = None


class OtlpMetric(Struct):
    name: str
    description: str | None = None
    unit: str | None = None
    gauge: OtlpGauge | None = None
    sum: OtlpSum | None = None
    histogram: OtlpHistogram | None = None


class ScopeMetrics(Struct):
    scope: OtlpScope | None = None
    metrics: list[OtlpMetric] | None = None


class ResourceMetrics(Struct, rename="camel"):
    resource: OtlpResource | None = None
    scope_metrics: list[ScopeMetrics] | None = None


class MetricsRequest(Struct, rename="camel"):
    resource_metrics: list[ResourceMetrics] | None = None


# -- values --------------------------------------------------------------------------------------


def plain(value: AnyValue | None) -> Any:
    """The value as JSON has it."""
    if value is None:
        return None
    for simple in (value.string_value, value.bool_value, value.int_value, value.double_value):
        if simple is not None:
            return simple
    if value.array_value is not None:
        return [plain(item) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values or ()}
    return value.bytes_value


def scalar(value: AnyValue | None) -> AttributeValue:
    """The value as an attribute of a span: lists and maps as JSON text."""
    found = plain(value)
    return found if isinstance(found, (str, bool, int, float)) else json.dumps(found)


def text(value: AnyValue | None) -> str:
    """The value as text."""
    found = plain(value)
    return found if isinstance(found, str) else json.dumps(found)


def attributes(pairs: KeyValues) -> dict[str, AttributeValue]:
    return {pair.key: scalar(pair.value) for pair in pairs or ()}


def number(value: Enum, names: Sequence[str], prefix: str) -> int:
    """An enumeration's number; 0 for what is not one. `names` begin with that of 0."""
    if isinstance(value, str):
        name = value.upper().removeprefix(prefix)
        if name in names:
            return names.index(name)
        value = int(value) if value.isascii() and value.isdigit() else 0
    return value or 0
