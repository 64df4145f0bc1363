"""A metric as it is stored and shown."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

#: Pairs of key and value; values are text.
Attributes: TypeAlias = list[tuple[str, str]]

MetricType: TypeAlias = Literal["counter", "gauge", "histogram", "updowncounter"]


class NumberPoint(Struct):
    """The value of a counter or gauge at a time (nanoseconds since the Unix epoch)."""

    value: float
    attributes: Attributes
    timestamp_unix_nano: int


class HistogramPoint(Struct):
    """`bucket_counts` has one more entry than `explicit_bounds`."""

    count: int
    sum: float
    bucket_counts: list[int]
    explicit_bounds: list[float]
    min: float | None
    max: float | None
    attributes: Attributes
    timestamp_unix_nano: int


class Metric(Struct, omit_defaults=True):
    """All points of one instrument in one report; the timestamp is that of its receipt."""

    name: str
    description: str
    unit: str
    metric_type: MetricType
    data_points: list[NumberPoint] | list[HistogramPoint]
    service_name: str
    timestamp_unix_nano: int
    instrumentation_scope_name: str | None = None
    instrumentation_scope_version: str | None = None


class Cumulative(Metric):
    """A counter or histogram whose points are totals since its worker began, as OTLP says.

    The points of other metrics tell what came since the report before. Both look the same.
    """
