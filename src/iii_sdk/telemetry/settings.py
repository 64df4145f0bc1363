"""What a worker tells about itself, and how often."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from typing import Final

OFF: Final = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True)
class Settings:
    """Times in seconds.

    `service_name` None is the name of the worker. Metrics are the gauges of the process.
    """

    enabled: bool = True
    service_name: str | None = None
    service_version: str | None = None
    service_namespace: str | None = None
    service_instance_id: str | None = None
    spans_interval: float = 1.0
    logs_enabled: bool = True
    logs_interval: float = 0.1
    logs_batch: int = 512
    metrics_enabled: bool = True
    metrics_interval: float = 60.0
    attributes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls) -> Settings:
        """The variables of the published clients; one that is no number counts as not set."""
        given = os.environ.get
        return cls(
            enabled=_enabled("OTEL_ENABLED"),
            service_name=given("OTEL_SERVICE_NAME") or None,
            service_version=given("SERVICE_VERSION") or None,
            service_namespace=given("SERVICE_NAMESPACE") or None,
            service_instance_id=given("SERVICE_INSTANCE_ID") or None,
            logs_interval=_number("OTEL_LOGS_FLUSH_INTERVAL_MS", 100) / 1000,
            logs_batch=round(_number("OTEL_LOGS_BATCH_SIZE", 512)),
            metrics_enabled=_enabled("OTEL_METRICS_ENABLED"),
        )

    def resource(self, worker_name: str) -> dict[str, str]:
        """Whose records they are, as OpenTelemetry calls these attributes."""
        named = {
            "service.name": self.service_name or worker_name,
            "service.version": self.service_version,
            "service.namespace": self.service_namespace,
            "service.instance.id": self.service_instance_id or str(uuid.uuid4()),
            "telemetry.sdk.name": "agentos",
            "telemetry.sdk.language": "python",
        }
        return {**{key: value for key, value in named.items() if value}, **self.attributes}


def _enabled(name: str) -> bool:
    return os.environ.get(name, "true").strip().lower() not in OFF


def _number(name: str, default: float) -> float:
    try:
        value = float(os.environ.get(name, ""))
    except ValueError:
        return default
    return value if value > 0 else default
