"""`engine::log::*`: records that workers write by calling."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from iii_engine.core.router import Call
from iii_engine.core.spans import Resource
from iii_engine.modules.base import read
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.logs.severity import number_of
from iii_engine.version import VERSION
from iii_sdk.protocol import NULL
from iii_sdk.traceparent import parse_traceparent

#: The scope of these records.
SCOPE = "iii"

#: Set by the engine on object payloads, and of no interest in a log.
_CALLER = "_caller_worker_id"


class LogLine(Struct):
    """The keys of an object `data` become attributes; other values are dropped."""

    message: str
    data: Raw = field(default_factory=lambda: NULL)
    trace_id: str | None = None
    span_id: str | None = None
    service_name: str | None = None


def record_of(level: str, call: Call, engine: Resource, now_ns: int) -> LogRecord:
    """What a call of `engine::log::<level>` asks for; service and trace default to its own."""
    line = read(call, LogLine)
    name = engine.service_name if call.caller is None else call.caller.name
    trace, span = parse_traceparent(call.caller_trace or call.traceparent) or (None, None)
    return LogRecord(
        timestamp_unix_nano=now_ns,
        observed_timestamp_unix_nano=now_ns,
        severity_number=number_of(level),
        severity_text=level.upper(),
        body=line.message,
        attributes=_attributes(line.data),
        trace_id=line.trace_id or trace,
        span_id=line.span_id or span,
        resource={},
        service_name=line.service_name or name,
        instrumentation_scope_name=SCOPE,
        instrumentation_scope_version=VERSION,
    )


def _attributes(data: Raw) -> dict[str, Any]:
    value = msgspec.json.decode(data)
    if not isinstance(value, dict):
        return {}
    return {str(key): item for key, item in value.items() if key != _CALLER}
