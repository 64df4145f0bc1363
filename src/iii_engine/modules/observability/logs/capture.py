"""The engine's own log lines as records."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from iii_engine.logs import fields_of, level_name, message_of
from iii_engine.modules.observability.logs.console import ECHO
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.logs.severity import number_of

if TYPE_CHECKING:
    from iii_engine.modules.observability.telemetry import Telemetry

#: The scope of these records.
SCOPE: Final = "tracing"
#: The loggers of the engine; those below them come along.
SOURCES: Final = ("iii", "asyncio")
#: Lines that wait to be stored; of more the oldest go.
MAX_WAITING: Final = 10_000


class Capture(logging.Handler):
    """Stores lines in the next turn of the loop: who writes one never waits for who reads it."""

    def __init__(self, telemetry: Telemetry, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._telemetry = telemetry
        self._loop = loop
        self._thread = threading.get_ident()
        self._waiting: deque[logging.LogRecord] = deque(maxlen=MAX_WAITING)
        self._handle: asyncio.Handle | None = None

    def start(self) -> None:
        for name in SOURCES:
            logging.getLogger(name).addHandler(self)

    def stop(self) -> None:
        for name in SOURCES:
            logging.getLogger(name).removeHandler(self)
        self.close()
        self._waiting.clear()
        if self._handle is not None:
            self._handle.cancel()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(ECHO) or self._loop.is_closed():
            return
        self._waiting.append(record)
        if threading.get_ident() == self._thread:
            self._wake()
        else:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._handle is None:
            self._handle = self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Store what waits."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        records = [self._record(self._waiting.popleft()) for _ in range(len(self._waiting))]
        if records:
            self._telemetry.logs.take(records)

    def _record(self, line: logging.LogRecord) -> LogRecord:
        resource = self._telemetry.resource
        level = level_name(line)
        time_ns = int(line.created * 1e9)
        fields = fields_of(line)
        attributes: dict[str, Any] = {
            key: value if isinstance(value, (str, int, float, bool)) else str(value)
            for key, value in fields.items()
            if key not in ("trace_id", "span_id")
        }
        attributes["target"] = line.name
        if line.exc_info and line.exc_info[1] is not None:
            attributes["exception.type"] = type(line.exc_info[1]).__name__
            attributes["exception.message"] = str(line.exc_info[1])
        return LogRecord(
            timestamp_unix_nano=time_ns,
            observed_timestamp_unix_nano=time_ns,
            severity_number=number_of(level),
            severity_text=level,
            body=message_of(line),
            attributes=attributes,
            trace_id=_text(fields.get("trace_id")),
            span_id=_text(fields.get("span_id")),
            resource=resource.attributes,
            service_name=resource.service_name,
            instrumentation_scope_name=SCOPE,
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
