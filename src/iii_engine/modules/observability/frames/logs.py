"""Log records out of a telemetry frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from iii_engine.core.spans import Resource, Scope
from iii_engine.modules.observability.frames import otlp
from iii_engine.modules.observability.frames.sources import resource_of, scope_of
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.logs.severity import number_of, text_of

_decoder = msgspec.json.Decoder(otlp.LogsRequest, strict=False)

_LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_NAMES: Final = (
    "UNSPECIFIED",
    *(f"{level}{step}" for level in _LEVELS for step in ("", "2", "3", "4")),
)


def read_logs(body: memoryview, now_ns: int) -> Iterator[LogRecord]:
    """The records of a frame that was received at `now_ns`."""
    for group in _decoder.decode(body).resource_logs or ():
        resource = resource_of(group.resource)
        for scoped in group.scope_logs or ():
            scope = scope_of(scoped.scope)
            for log in scoped.log_records or ():
                yield _record(log, resource, scope, now_ns)


def _record(log: otlp.OtlpLog, resource: Resource, scope: Scope, now_ns: int) -> LogRecord:
    number = otlp.number(log.severity_number, _NAMES, "SEVERITY_NUMBER_")
    attributes = {pair.key: otlp.plain(pair.value) for pair in log.attributes or ()}
    return LogRecord(
        timestamp_unix_nano=log.time_unix_nano or 0,
        observed_timestamp_unix_nano=log.observed_time_unix_nano or now_ns,
        severity_number=number or number_of(log.severity_text or ""),
        severity_text=log.severity_text or text_of(number),
        body="" if log.body is None else otlp.text(log.body),
        attributes=attributes,
        trace_id=_id(log.trace_id, attributes, "trace_id"),
        span_id=_id(log.span_id, attributes, "span_id"),
        resource=resource.attributes,
        service_name=str(attributes.get("service.name") or resource.service_name),
        instrumentation_scope_name=scope.name,
        instrumentation_scope_version=scope.version,
    )


def _id(own: str | None, attributes: dict[str, Any], key: str) -> str | None:
    """The record's own id, or the one that the loggers of the SDKs put among the attributes."""
    for found in (own, attributes.get(key)):
        if isinstance(found, str) and found.strip("0"):
            return found.lower()
    return None
