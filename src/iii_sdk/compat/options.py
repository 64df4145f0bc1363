"""How an instance is set up: the published options, and a few of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from iii_sdk.backoff import Backoff
from iii_sdk.compat.messages import built
from iii_sdk.telemetry import Settings

#: Milliseconds that a call waits for its answer unless told otherwise.
INVOCATION_TIMEOUT_MS = 30_000


@dataclass(frozen=True)
class ReconnectionConfig:
    """Delays between attempts to connect; `max_retries` -1 never gives up."""

    initial_delay_ms: int = 1000
    max_delay_ms: int = 30_000
    backoff_multiplier: float = 2.0
    jitter_factor: float = 0.3
    max_retries: int = -1


@dataclass(frozen=True)
class TelemetryOptions:
    """What the worker says about its program; each has a default."""

    language: str | None = None
    project_name: str | None = None
    framework: str | None = None
    amplitude_api_key: str | None = None


@dataclass(frozen=True)
class OtelConfig:
    """What the engine is told of spans, logs and the process. Absent values come from the
    environment.

    `engine_ws_url` and `fetch_instrumentation_enabled` are accepted and have no effect: records
    travel on the connection of the worker, and outgoing HTTP requests are not recorded.
    """

    enabled: bool | None = None
    service_name: str | None = None
    service_version: str | None = None
    service_namespace: str | None = None
    service_instance_id: str | None = None
    engine_ws_url: str | None = None
    fetch_instrumentation_enabled: bool = True
    logs_enabled: bool | None = None
    logs_flush_interval_ms: int | None = None
    logs_batch_size: int | None = None
    metrics_enabled: bool = True
    metrics_export_interval_ms: int = 60_000


@dataclass(frozen=True)
class InitOptions:
    """Options of `III` and `register_worker`.

    `enable_metrics_reporting` False is `metrics_enabled` False of `otel`. The last three are ours:
    `max_sync_handlers` is the number of threads for handlers that are plain functions, `drain_ms`
    how long `shutdown` waits for running handlers, `description` what the worker is for.
    """

    worker_name: str | None = None
    enable_metrics_reporting: bool = True
    invocation_timeout_ms: int = INVOCATION_TIMEOUT_MS
    reconnection_config: ReconnectionConfig | Mapping[str, Any] | None = None
    otel: OtelConfig | Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    telemetry: TelemetryOptions | Mapping[str, Any] | None = None
    max_sync_handlers: int = 64
    drain_ms: int = 0
    description: str | None = None

    def with_given(self, **given: Any) -> InitOptions:
        """These options, except what is given here and not None. Raises `ValueError`."""
        options = replace(self, **{name: v for name, v in given.items() if v is not None})
        if options.invocation_timeout_ms <= 0:
            raise ValueError("invocation_timeout_ms: expected a positive number of milliseconds")
        if options.max_sync_handlers < 1:
            raise ValueError("max_sync_handlers: expected at least 1")
        built(OtelConfig, options.otel or {}, "otel")
        return options

    @property
    def observed(self) -> Settings:
        """What is told of this program; what is given here wins over the environment."""
        given = built(OtelConfig, self.otel or {}, "otel")
        settings = Settings.from_environment()
        changes: dict[str, Any] = {
            name: getattr(given, name)
            for name in (
                "enabled",
                "service_name",
                "service_version",
                "service_namespace",
                "service_instance_id",
                "logs_enabled",
            )
            if getattr(given, name) is not None
        }
        if given.logs_flush_interval_ms:
            changes["logs_interval"] = given.logs_flush_interval_ms / 1000
        changes["metrics_enabled"] = (
            settings.metrics_enabled and given.metrics_enabled and self.enable_metrics_reporting
        )
        changes["metrics_interval"] = max(given.metrics_export_interval_ms, 1) / 1000
        return replace(settings, **changes)

    @property
    def reconnection(self) -> ReconnectionConfig:
        return built(ReconnectionConfig, self.reconnection_config or {}, "reconnection_config")

    @property
    def program(self) -> TelemetryOptions:
        return built(TelemetryOptions, self.telemetry or {}, "telemetry")


@dataclass
class LimitedBackoff(Backoff):
    """Delays as configured; `give_up` is called once when the retries are used up."""

    max_retries: int = -1
    give_up: Callable[[], None] = field(default=lambda: None)

    @classmethod
    def of(cls, config: ReconnectionConfig, give_up: Callable[[], None]) -> LimitedBackoff:
        return cls(
            initial=config.initial_delay_ms / 1000,
            factor=config.backoff_multiplier,
            maximum=config.max_delay_ms / 1000,
            jitter=config.jitter_factor,
            max_retries=config.max_retries,
            give_up=give_up,
        )

    def next(self) -> float:
        if 0 <= self.max_retries <= self._failures:
            asyncio.get_running_loop().call_soon(self.give_up)
        return super().next()
