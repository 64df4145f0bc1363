"""The engine's own log lines: for people on a terminal, or one JSON object per line."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

from msgspec import Struct

from iii_engine.config.entries import Entry
from iii_engine.config.errors import ConfigError
from iii_engine.config.options import read_options
from iii_engine.core.shown import MOST, shown
from iii_engine.modules.catalogue import OBSERVABILITY

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


class LogSettings(Struct):
    """`level` is a level, or a list such as `info,iii.net=debug`; `format` is `default`|`json`."""

    level: str | None = None
    log_level: str | None = None
    format: str = "default"


def settings_of(entries: Iterable[Entry]) -> LogSettings:
    """The log options of the observability entry. Raises `ConfigError`."""
    for entry in entries:
        if entry.kind == OBSERVABILITY:
            settings = read_options(entry, LogSettings)
            levels_of(settings)
            if settings.format not in ("default", "json"):
                raise ConfigError(
                    f"failed to create worker '{entry.name}': config.format: unknown format "
                    f"`{settings.format}`, expected one of `default`, `json`"
                )
            return settings
    return LogSettings()


def levels_of(settings: LogSettings) -> dict[str, int]:
    """Logger name (`""` for all others) to level. Raises `ConfigError` for an unknown level."""
    levels = {"": logging.INFO}
    for part in (settings.level or settings.log_level or "info").split(","):
        target, separator, name = part.strip().rpartition("=")
        level = LEVELS.get(name.strip().lower())
        if level is None or (separator and not target.strip()):
            raise ConfigError(
                f"{OBSERVABILITY}: config.level: unknown level `{part.strip()}`, expected one of "
                "`trace`, `debug`, `info`, `warn`, `error`, or a list of `target=level`"
            )
        levels[target.strip()] = level
    return levels


def configure(
    settings: LogSettings, stream: TextIO | None = None, before: LogSettings | None = None
) -> None:
    """Send all log records to `stream` (stderr) in the wanted form, and no more as `before`."""
    for target in levels_of(before) if before is not None else ():
        logging.getLogger(target).setLevel(logging.NOTSET)
    stream = sys.stderr if stream is None else stream
    logging.addLevelName(TRACE, "TRACE")
    handler = logging.StreamHandler(stream)
    if settings.format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        colours = stream.isatty() and "NO_COLOR" not in os.environ
        handler.setFormatter(HumanFormatter(colours))
    logging.basicConfig(handlers=[handler], force=True)
    for target, level in levels_of(settings).items():
        logging.getLogger(target).setLevel(level)


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
