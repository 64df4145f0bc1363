"""Log records."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from iii_sdk.telemetry import otlp

#: Number and text of each level, as OpenTelemetry has them.
SEVERITIES: Final = {
    "trace": (1, "TRACE"),
    "debug": (5, "DEBUG"),
    "info": (9, "INFO"),
    "warn": (13, "WARN"),
    "error": (17, "ERROR"),
    "fatal": (21, "FATAL"),
}


class LogRecord(Struct):
    """One record; `level` is a key of `SEVERITIES`. Data that is no object is `log.data`."""

    level: str
    message: str
    data: object = None
    trace_id: str | None = None
    span_id: str | None = None
    service_name: str | None = None
    time_ns: int = field(default_factory=time.time_ns)

    def otlp(self) -> dict[str, Any]:
        """As OTLP has it."""
        number, text = SEVERITIES[self.level]
        record: dict[str, Any] = {
            "timeUnixNano": str(self.time_ns),
            "observedTimeUnixNano": str(self.time_ns),
            "severityNumber": number,
            "severityText": text,
            "body": otlp.value(self.message),
        }
        more: dict[str, object] = {}
        if isinstance(self.data, Mapping):
            more.update(self.data)
        elif self.data is not None:
            more["log.data"] = self.data
        if self.service_name:
            more["service.name"] = self.service_name
        if more:
            record["attributes"] = otlp.attributes(more)
        if self.trace_id:
            record["traceId"] = self.trace_id
        if self.span_id:
            record["spanId"] = self.span_id
        return record
