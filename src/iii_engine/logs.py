"""The engine's own log lines: for people on a terminal, or one JSON object per line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from iii_engine.core.shown import MOST, shown

TRACE = 5
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_NAMES = {number: name.upper() for name, number in LEVELS.items()} | {logging.CRITICAL: "ERROR"}
#: Fields that only the JSON form shows.
_FOR_PROGRAMS = ("trace_id", "span_id")
_COLOURS = {"TRACE": "2", "DEBUG": "34", "INFO": "32", "WARN": "33", "ERROR": "31"}


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What the line carries besides its text: `extra={"fields": {...}}`."""
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


def message_of(record: logging.LogRecord) -> str:
    """The text of a line. Of what it is given to quote, ids and errors of peers, it has as much
    as `shown` shows: so no line, whoever writes it, is as long as a peer wants."""
    if not isinstance(record.args, tuple) or not record.args:
        return record.getMessage()
    return str(record.msg) % tuple(_quoted(argument) for argument in record.args)


def _quoted(argument: object) -> object:
    if isinstance(argument, int | float):
        return argument
    text = argument if isinstance(argument, str) else str(argument)
    return argument if len(text) <= MOST else shown(text)


def level_name(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelno, record.levelname)


def _timestamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class HumanFormatter(logging.Formatter):
    """`2026-01-01T00:00:00.000Z  INFO iii.net: text key=value`"""

    def __init__(self, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        name = level_name(record)
        level = f"{name:>5}"
        if self._colours:
            level = f"\033[{_COLOURS.get(name, '0')}m{level}\033[0m"
        fields = "".join(
            f" {key}={value}"
            for key, value in fields_of(record).items()
            if key not in _FOR_PROGRAMS
        )
        line = f"{_timestamp(record)} {level} {record.name}: {message_of(record)}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """`{"timestamp", "level", "target", "message", fields…, "exception"?}`"""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            **fields_of(record),
            "timestamp": _timestamp(record),
            "level": level_name(record),
            "target": record.name,
            "message": message_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
