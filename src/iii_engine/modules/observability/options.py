"""Options of `iii-observability` as the config file has them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from iii_engine.modules.bounds import NotNegative, Positive
from iii_engine.modules.observability.alerts.options import AlertOptions

Ratio = Annotated[float, Meta(ge=0, le=1)]


class SamplingRule(Struct, forbid_unknown_fields=True):
    """Spans whose name and service match the patterns (`*`, `?`) are kept at this rate."""

    rate: Ratio
    operation: str | None = None
    service: str | None = None


class RateLimit(Struct, forbid_unknown_fields=True):
    """How many traces may begin in a second."""

    max_traces_per_second: Annotated[float, Meta(ge=0)]


class SamplingOptions(Struct, forbid_unknown_fields=True):
    """The first rule that matches decides, and `default` where none does."""

    default: Ratio | None = None
    parent_based: bool | None = None
    rules: list[SamplingRule] = field(default_factory=list)
    rate_limit: RateLimit | None = None


class ObservabilityOptions(Struct, forbid_unknown_fields=True):
    """None: the environment decides, and then the default (see `settings.py` for both).

    `level` (or `log_level`) and `format` are about the engine's own log lines (`logs.py`).
    """

    enabled: bool | None = None
    service_name: str | None = None
    service_version: str | None = None
    service_namespace: str | None = None
    exporter: Literal["memory", "otlp", "both", "stdout"] | None = None
    endpoint: str | None = None
    sampling_ratio: Ratio | None = None
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    memory_max_spans: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    metrics_enabled: bool | None = None
    metrics_exporter: Literal["memory", "otlp"] | None = None
    metrics_retention_seconds: Positive | None = None
    metrics_max_count: Positive | None = None
    logs_enabled: bool = True
    logs_exporter: Literal["memory", "otlp", "both"] | None = None
    logs_max_count: NotNegative = 1000
    logs_retention_seconds: Positive = 3600
    logs_batch_size: int | None = None
    logs_flush_interval_ms: int | None = None
    logs_sampling_ratio: Ratio = 1.0
    logs_console_output: bool = True
    alerts: list[AlertOptions] = field(default_factory=list)
    level: str | None = None
    log_level: str | None = None
    format: str = "default"
