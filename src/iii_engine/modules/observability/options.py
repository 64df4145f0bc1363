"""Options of `iii-observability` as the config file has them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from iii_engine.modules.bounds import NotNegative, Positive
from iii_engine.modules.observability.alerts.options import AlertOptions

Ratio = Annotated[float, Meta(ge=0, le=1)]


class SamplingRule(Struct, forbid_unknown_fields=True):
    """Spans whose name and service match the patterns (`*`, `?`) are kept at this rate."""

    #: How much is kept, 0 to 1.
    rate: Ratio
    #: Pattern for the name of a span.
    operation: str | None = None
    #: Pattern for the name of its service.
    service: str | None = None


class RateLimit(Struct, forbid_unknown_fields=True):
    """How many traces may begin in a second."""

    #: More of them are not recorded.
    max_traces_per_second: Annotated[float, Meta(ge=0)]


class SamplingOptions(Struct, forbid_unknown_fields=True):
    """The first rule that matches decides, and `default` where none does."""

    #: Where no rule matches; without it `sampling_ratio`.
    default: Ratio | None = None
    #: A span is kept when its parent is; always so with rules or a limit.
    parent_based: bool | None = None
    #: The first that matches decides.
    rules: list[SamplingRule] = field(default_factory=list)
    #: For spans without a parent.
    rate_limit: RateLimit | None = None


class ObservabilityOptions(Struct, forbid_unknown_fields=True):
    """None: the environment decides, and then the default (see `settings.py` for both).

    `level` (or `log_level`) and `format` are about the engine's own log lines (`logs.py`).
    """

    #: Spans, the trigger type `log` and alerts; `OTEL_ENABLED`.
    enabled: bool | None = None
    #: Of the engine, `iii`; `OTEL_SERVICE_NAME`.
    service_name: str | None = None
    #: Of the engine; `SERVICE_VERSION`.
    service_version: str | None = None
    #: `SERVICE_NAMESPACE`.
    service_namespace: str | None = None
    #: Where spans go besides memory; `OTEL_EXPORTER_TYPE`.
    exporter: Literal["memory", "otlp", "both", "stdout"] | None = None
    #: Of the OTLP collector; `OTEL_EXPORTER_OTLP_ENDPOINT`.
    endpoint: str | None = None
    #: How OTLP is written, `http/json`; `http/protobuf` needs the extra `agentos[otlp]`;
    #: `OTEL_EXPORTER_OTLP_PROTOCOL`.
    otlp_protocol: Literal["http/json", "http/protobuf"] | None = None
    #: Headers of OTLP requests, such as a key; `OTEL_EXPORTER_OTLP_HEADERS`.
    otlp_headers: dict[str, str] | None = None
    #: How many traces are kept, 0 to 1; `OTEL_TRACES_SAMPLER_ARG`.
    sampling_ratio: Ratio | None = None
    #: Finer than a ratio.
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    #: Kept in memory, 1000; `OTEL_MEMORY_MAX_SPANS`.
    memory_max_spans: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    #: `OTEL_METRICS_ENABLED`.
    metrics_enabled: bool | None = None
    #: Where metrics go besides memory; `OTEL_METRICS_EXPORTER`.
    metrics_exporter: Literal["memory", "otlp"] | None = None
    #: 3600; `OTEL_METRICS_RETENTION_SECONDS`.
    metrics_retention_seconds: Positive | None = None
    #: Kept in memory, 10000; `OTEL_METRICS_MAX_COUNT`.
    metrics_max_count: Positive | None = None
    #: Where worker listeners without access rules show Prometheus the metrics; null: nowhere.
    prometheus_path: str | None = "/metrics"
    #: Keep log records.
    logs_enabled: bool = True
    #: Where log records go besides memory; `OTEL_LOGS_EXPORTER`.
    logs_exporter: Literal["memory", "otlp", "both"] | None = None
    #: Kept in memory.
    logs_max_count: NotNegative = 1000
    #: How long they are kept.
    logs_retention_seconds: Positive = 3600
    #: Records in one export, 100; `OTEL_LOGS_BATCH_SIZE`.
    logs_batch_size: int | None = None
    #: Longest wait for an export, 5000; `OTEL_LOGS_FLUSH_INTERVAL_MS`.
    logs_flush_interval_ms: int | None = None
    #: How many records are kept, 0 to 1.
    logs_sampling_ratio: Ratio = 1.0
    #: Show the records of workers on the console.
    logs_console_output: bool = True
    #: Rules over metrics.
    alerts: list[AlertOptions] = field(default_factory=list)
    #: Least severity of engine log lines, or a list `target=level`.
    level: str | None = None
    #: The same under its older name.
    log_level: str | None = None
    #: `default` for people, `json` for programs.
    format: str = "default"
