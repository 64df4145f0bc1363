"""Options of `iii-exec`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from iii_engine.modules.exec.patterns import read_patterns
from iii_sdk.errors import BusError

Command = Annotated[str, Meta(min_length=1)]


class ExecOptions(Struct, forbid_unknown_fields=True):
    """What runs beside the engine, and what starts it again."""

    #: Shell commands; each but the last must end with 0 before the next starts. The last one is
    #: meant to go on.
    exec: Annotated[list[Command], Meta(min_length=1)]
    #: Globs of files; when one of them changes, what runs is ended and the first command starts.
    #: `*`, `?`, `[a-z]`, `{ts,js}`, and `**` for any number of directories.
    watch: list[str] = []
    #: What starts commands again: `on_change` a change of a watched file, `always` also the end of
    #: the last command, `never` nothing.
    restart: Literal["on_change", "always", "never"] = "on_change"


def check(options: ExecOptions) -> None:
    """Raises `BusError` that names the command or the glob that is none."""
    for index, command in enumerate(options.exec):
        if "\0" in command:
            text = f"config.exec[{index}]: a command cannot contain NUL"
            raise BusError(text, code="invalid_config")
    read_patterns(options.watch)
