"""Severities of log records: numbers 1 to 24, four to each of six names."""

from __future__ import annotations

from typing import Final

NAMES: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_OTHER_NAMES: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}


def text_of(number: int) -> str:
    """The name of a number; "" for one that has none."""
    return NAMES[(number - 1) // 4] if 1 <= number <= 24 else ""


def number_of(text: str) -> int:
    """The first number of a name, whatever its case; 0 for a name that has none."""
    name = text.upper()
    name = _OTHER_NAMES.get(name, name)
    return NAMES.index(name) * 4 + 1 if name in NAMES else 0


def level_of(number: int) -> str:
    """What log triggers call it: `trace` to `error`, which is also what is fatal; "" for none."""
    return text_of(min(number, 20)).lower()
