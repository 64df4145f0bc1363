"""Which lines the log has, in which form, and what the config says of that."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from typing import TextIO

from msgspec import Struct

from iii_engine.config.entries import Entry
from iii_engine.config.errors import ConfigError
from iii_engine.config.options import read_options
from iii_engine.logs import LEVELS, TRACE, HumanFormatter, JsonFormatter
from iii_engine.modules.catalogue import OBSERVABILITY


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
