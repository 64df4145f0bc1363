"""A log record as it is stored and shown."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from iii_engine.core.spans import AttributeValue


class LogRecord(Struct):
    """Times are nanoseconds since the Unix epoch; ids are hex digits, as they were given."""

    timestamp_unix_nano: int
    observed_timestamp_unix_nano: int
    severity_number: int
    severity_text: str
    body: str
    attributes: dict[str, Any]
    trace_id: str | None
    span_id: str | None
    resource: dict[str, AttributeValue]
    service_name: str
    instrumentation_scope_name: str | None = None
    instrumentation_scope_version: str | None = None

    @property
    def effective_ns(self) -> int:
        """When it was written or, where that is not known, seen."""
        return self.timestamp_unix_nano or self.observed_timestamp_unix_nano
