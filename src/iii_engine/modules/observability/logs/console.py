"""Records of workers among the engine's own log lines."""

from __future__ import annotations

import logging

from iii_engine.logs import LEVELS
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.logs.severity import level_of

#: Lines of this logger, and of those below it, are records already.
ECHO = "iii.worker"

log = logging.getLogger(ECHO)


def echo(record: LogRecord) -> None:
    """Write a record as a line of the log."""
    level = LEVELS.get(level_of(record.severity_number), logging.INFO)
    if log.isEnabledFor(level):
        fields = {
            **record.attributes,
            "service_name": record.service_name,
            "trace_id": record.trace_id or "",
            "span_id": record.span_id or "",
        }
        # It is the text itself, not quoted in one: so it is written whole.
        log.log(level, str(record.body), extra={"fields": fields})
