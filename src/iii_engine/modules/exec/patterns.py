"""The globs of `watch`: `*`, `?`, `[a-z]`, `{ts,js}` and `**` for any number of directories.

As in a shell, a wildcard does not match a leading dot. It does not match `IGNORED` either; who
wants those, names them.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from iii_sdk.errors import BusError

IGNORED: Final = frozenset({".git", "node_modules", "__pycache__"})

#: How many plain globs the braces of one pattern may stand for.
MAX_ALTERNATIVES: Final = 256

_MAGIC: Final = re.compile(r"[*?\[]")
_INNER_BRACES: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Segment:
    """What is between two slashes; without a `regex` a name as it is, or `**`."""

    text: str
    regex: re.Pattern[str] | None = None

    @property
    def anything(self) -> bool:
        """It stands for any number of directories."""
        return self.text == "**"

    def matches(self, name: str) -> bool:
        """Does a file or directory of this name belong here?"""
        if self.regex is None and not self.anything:
            return name == self.text
        hidden = name.startswith(".") and not self.text.startswith(".")
        if hidden or name in IGNORED:
            return False
        return self.regex is None or self.regex.match(name) is not None


@dataclass(frozen=True)
class Pattern:
    """A glob without braces: what matches is below `root`, along the segments."""

    root: str
    segments: tuple[Segment, ...]


def read_patterns(globs: Iterable[str]) -> list[Pattern]:
    """Raises `BusError` that names the glob that is none."""
    found = []
    for index, glob in enumerate(globs):
        if not glob.strip("/"):
            raise BusError(f"config.watch[{index}]: a glob must name files", code="invalid_glob")
        try:
            found += [_pattern(plain) for plain in without_braces(glob)]
        except ValueError as error:
            raise BusError(f"config.watch[{index}]: {error}", code="invalid_glob") from None
    return found


def without_braces(glob: str) -> list[str]:
    """The globs that one with alternatives stands for. Raises `ValueError` when there are many."""
    done: list[str] = []
    waiting = [glob]
    while waiting:
        current = waiting.pop()
        found = _INNER_BRACES.search(current)
        if found is None:
            done.append(current)
        else:
            before, after = current[: found.start()], current[found.end() :]
            waiting += [before + part + after for part in found[1].split(",")]
        if len(done) + len(waiting) > MAX_ALTERNATIVES:
            raise ValueError(f"{glob!r} has more than {MAX_ALTERNATIVES} alternatives")
    return sorted(set(done))


def _pattern(glob: str) -> Pattern:
    parts = [part for part in glob.split("/") if part not in ("", ".")]
    if not parts:
        raise ValueError("a glob must name files")
    plain = 0
    while plain < len(parts) - 1 and not _MAGIC.search(parts[plain]):
        plain += 1
    root = "/".join(parts[:plain])
    if glob.startswith("/"):
        root = "/" + root
    return Pattern(root or ".", _segments(parts[plain:]))


def _segments(parts: Sequence[str]) -> tuple[Segment, ...]:
    if parts[-1] == "**":  # everything below
        parts = [*parts, "*"]
    return tuple(_segment(part) for part in parts)


def _segment(part: str) -> Segment:
    if part != "**" and _MAGIC.search(part):
        return Segment(part, re.compile(fnmatch.translate(part)))
    return Segment(part)
