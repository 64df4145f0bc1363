"""The options in force: the config file first, then the environment, then the default."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar
from urllib.parse import unquote

from msgspec import Struct

from iii_engine.modules.observability.alerts.options import AlertOptions
from iii_engine.modules.observability.options import ObservabilityOptions, SamplingOptions

log = logging.getLogger("iii.observability")

T = TypeVar("T")

Exporter = Literal["memory", "otlp", "both", "stdout"]
LogsExporter = Literal["memory", "otlp", "both"]
MetricsExporter = Literal["memory", "otlp"]
OtlpProtocol = Literal["http/json", "http/protobuf"]


class Settings(Struct, frozen=True):
    """Every option with its value; sizes are numbers of records."""

    enabled: bool
    service_name: str
    service_version: str
    service_namespace: str | None
    exporter: Exporter
    endpoint: str
    otlp_protocol: OtlpProtocol
    otlp_headers: dict[str, str]
    sampling: SamplingOptions
    #: Of traces for which no rule of `sampling` says more.
    sampling_ratio: float
    memory_max_spans: int
    metrics_enabled: bool
    metrics_exporter: MetricsExporter
    metrics_retention_seconds: int
    metrics_max_count: int
    prometheus_path: str | None
    logs_enabled: bool
    logs_exporter: LogsExporter
    logs_max_count: int
    logs_retention_seconds: int
    logs_batch_size: int
    logs_flush_interval_ms: int
    logs_sampling_ratio: float
    logs_console_output: bool
    alerts: tuple[AlertOptions, ...]
    #: Of the resource; only the environment says it.
    deployment_environment: str | None

    @property
    def wants_otlp(self) -> bool:
        """Whether anything is exported by OTLP."""
        return (
            (self.enabled and self.exporter in ("otlp", "both"))
            or (self.logs_enabled and self.logs_exporter != "memory")
            or (self.metrics_enabled and self.metrics_exporter == "otlp")
        )


def resolve(options: ObservabilityOptions, environ: Mapping[str, str]) -> Settings:
    """What applies. A variable that makes no sense is named in the log and left out."""
    env = _Environment(environ)
    sampling = options.sampling
    ratio = options.sampling_ratio if sampling.default is None else sampling.default
    return Settings(
        enabled=_first(options.enabled, env.flag("OTEL_ENABLED"), True),
        service_name=_first(options.service_name, env.text("OTEL_SERVICE_NAME"), "iii"),
        service_version=_first(options.service_version, env.text("SERVICE_VERSION"), "unknown"),
        service_namespace=options.service_namespace or env.text("SERVICE_NAMESPACE"),
        exporter=_first(options.exporter, env.exporter("OTEL_EXPORTER_TYPE"), "memory"),
        endpoint=_first(
            options.endpoint, env.text("OTEL_EXPORTER_OTLP_ENDPOINT"), "http://localhost:4317"
        ),
        otlp_protocol=_first(
            options.otlp_protocol, env.protocol("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/json"
        ),
        otlp_headers=_first(options.otlp_headers, env.pairs("OTEL_EXPORTER_OTLP_HEADERS"), {}),
        sampling=sampling,
        sampling_ratio=_first(ratio, env.ratio("OTEL_TRACES_SAMPLER_ARG"), 1.0),
        memory_max_spans=_first(options.memory_max_spans, env.size("OTEL_MEMORY_MAX_SPANS"), 1000),
        metrics_enabled=_first(options.metrics_enabled, env.flag("OTEL_METRICS_ENABLED"), True),
        metrics_exporter=_first(
            options.metrics_exporter, env.metrics_exporter("OTEL_METRICS_EXPORTER"), "memory"
        ),
        metrics_retention_seconds=_first(
            options.metrics_retention_seconds, env.size("OTEL_METRICS_RETENTION_SECONDS"), 3600
        ),
        metrics_max_count=_first(
            options.metrics_max_count, env.size("OTEL_METRICS_MAX_COUNT"), 10_000
        ),
        prometheus_path=options.prometheus_path or None,
        logs_enabled=options.logs_enabled,
        logs_exporter=_first(
            options.logs_exporter, env.logs_exporter("OTEL_LOGS_EXPORTER"), "memory"
        ),
        logs_max_count=options.logs_max_count,
        logs_retention_seconds=options.logs_retention_seconds,
        logs_batch_size=_clamped(
            _first(options.logs_batch_size, env.number("OTEL_LOGS_BATCH_SIZE"), 100), 1, 10_000
        ),
        logs_flush_interval_ms=_clamped(
            _first(options.logs_flush_interval_ms, env.number("OTEL_LOGS_FLUSH_INTERVAL_MS"), 5000),
            100,
            3_600_000,
        ),
        logs_sampling_ratio=options.logs_sampling_ratio,
        logs_console_output=options.logs_console_output,
        alerts=tuple(options.alerts),
        deployment_environment=env.text("DEPLOYMENT_ENVIRONMENT"),
    )


def _first(configured: T | None, variable: T | None, default: T) -> T:
    if configured is not None:
        return configured
    return default if variable is None else variable


def _clamped(value: int, least: int, most: int) -> int:
    return min(max(value, least), most)


class _Environment:
    """The variables, as values of options. Other programs use most of these names too, with other
    values: what is not one of ours is no reason not to start."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str) -> str | None:
        return self._variables.get(name) or None

    def flag(self, name: str) -> bool | None:
        value = self.text(name)
        return None if value is None else value.strip().lower() in ("true", "1")

    def number(self, name: str) -> int | None:
        return self._read(name, int)

    def size(self, name: str) -> int | None:
        return self._read(name, _size)

    def ratio(self, name: str) -> float | None:
        return self._read(name, _ratio)

    def exporter(self, name: str) -> Exporter | None:
        match self.text(name):
            case "memory" | "otlp" | "both" | "stdout" as known:
                return known
            case other:
                self._strange(name, other)
                return None

    def protocol(self, name: str) -> OtlpProtocol | None:
        match self.text(name):
            case "http/json" | "http/protobuf" as known:
                return known
            case other:
                self._strange(name, other)
                return None

    def pairs(self, name: str) -> dict[str, str] | None:
        """`name=value,…`, values percent-encoded, as OpenTelemetry writes headers."""
        text = self.text(name)
        if text is None:
            return None
        found = {}
        for pair in text.split(","):
            key, separator, value = pair.partition("=")
            if separator and key.strip():
                found[key.strip()] = unquote(value.strip())
        return found

    def logs_exporter(self, name: str) -> LogsExporter | None:
        match self.text(name):
            case "memory" | "otlp" | "both" as known:
                return known
            case other:
                self._strange(name, other)
                return None

    def metrics_exporter(self, name: str) -> MetricsExporter | None:
        match self.text(name):
            case "memory" | "otlp" as known:
                return known
            case other:
                self._strange(name, other)
                return None

    def _read(self, name: str, kind: Callable[[str], T]) -> T | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            return kind(value)
        except ValueError:
            self._strange(name, value)
            return None

    def _strange(self, name: str, value: str | None) -> None:
        if value is not None:
            log.warning("the environment variable %s has no value for this engine: %r", name, value)


def _size(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _ratio(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise ValueError
    return number
