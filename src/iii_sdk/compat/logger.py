"""The log of the system, from anywhere in a program."""

from __future__ import annotations

import logging
from typing import Any

from iii_sdk.compat import lifetime
from iii_sdk.compat.handlers import current_instance
from iii_sdk.current_call import active
from iii_sdk.telemetry import LogRecord
from iii_sdk.traceparent import parse_traceparent

_local = logging.getLogger("iii.logger")


class Logger:
    """Sends records to the engine; while there is no connection they go to `logging`.

    They are telemetry; with that switched off they are calls of `engine::log::*`. The instance is
    the one whose handler runs, else the one made last. In handlers the record
    carries the trace of the call unless another is given here.
    """

    def __init__(
        self,
        trace_id: str | None = None,
        service_name: str | None = None,
        span_id: str | None = None,
    ) -> None:
        self.trace_id = trace_id
        self.service_name = service_name
        self.span_id = span_id

    def debug(self, message: str, data: Any = None) -> None:
        self._write(logging.DEBUG, "debug", message, data)

    def info(self, message: str, data: Any = None) -> None:
        self._write(logging.INFO, "info", message, data)

    def warn(self, message: str, data: Any = None) -> None:
        self._write(logging.WARNING, "warn", message, data)

    warning = warn

    def error(self, message: str, data: Any = None) -> None:
        self._write(logging.ERROR, "error", message, data)

    def _write(self, level: int, name: str, message: str, data: Any) -> None:
        from iii_sdk.compat.iii import III

        instance = current_instance.get() or lifetime.latest()
        if not isinstance(instance, III) or instance.get_connection_state() != "connected":
            text = "%s %s" if data is not None else "%s"
            _local.log(level, text, *((message,) if data is None else (message, data)))
            return
        exporter = instance.telemetry
        if exporter is not None and exporter.settings.logs_enabled:
            ids = self._trace()
            trace_id, span_id = ids.get("trace_id"), ids.get("span_id")
            exporter.record(LogRecord(name, message, data, trace_id, span_id, self.service_name))
            return
        record = {"message": message, "service_name": self.service_name or instance.worker_name}
        if data is not None:
            record["data"] = data
        instance.trigger_void(f"engine::log::{name}", {**record, **self._trace()})

    def _trace(self) -> dict[str, str]:
        call = active()
        parent = call and call.traceparent and parse_traceparent(call.traceparent)
        trace_id, span_id = parent or (None, None)
        found = {"trace_id": self.trace_id or trace_id, "span_id": self.span_id or span_id}
        return {key: value for key, value in found.items() if value}
