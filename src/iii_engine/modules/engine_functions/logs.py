"""`engine::log::*`: workers' lines in the engine's log."""

from __future__ import annotations

import logging

import msgspec
from msgspec import Raw, Struct, field

from iii_engine.core.router import Call
from iii_engine.logs import LEVELS
from iii_engine.modules.base import read
from iii_engine.modules.engine_functions.opaque import null
from iii_sdk.protocol import parse_traceparent

log = logging.getLogger("iii.worker")

#: Set by the engine on object payloads, and of no interest in a log.
_CALLER = "_caller_worker_id"


class LogLine(Struct):
    """The keys of an object `data` become attributes; other values are dropped."""

    message: str
    data: Raw = field(default_factory=null)
    trace_id: str | None = None
    span_id: str | None = None
    service_name: str | None = None


def write_log(level: str, call: Call) -> None:
    """Write one line. Service and trace default to those of the call."""
    line = read(call, LogLine)
    if not log.isEnabledFor(LEVELS[level]):
        return
    name = call.caller.name if call.caller is not None else "engine"
    fields: dict[str, object] = _attributes(line.data)
    fields["service_name"] = line.service_name or name
    trace, span = parse_traceparent(call.caller_trace or call.traceparent) or ("", "")
    fields["trace_id"] = line.trace_id or trace
    fields["span_id"] = line.span_id or span
    log.log(LEVELS[level], "%s", line.message, extra={"fields": fields})


def _attributes(data: Raw) -> dict[str, object]:
    value = msgspec.json.decode(data)
    if not isinstance(value, dict):
        return {}
    return {str(key): item for key, item in value.items() if key != _CALLER}
