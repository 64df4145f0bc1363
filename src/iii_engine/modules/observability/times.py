"""Times that callers give."""

from __future__ import annotations

from typing import Final

#: Nanoseconds since the epoch are unsigned 64-bit integers in OpenTelemetry.
MAX_NS: Final = (1 << 64) - 1


class TooLarge(ValueError):
    """A time beyond what 64 bits of nanoseconds can say."""


def nanoseconds(value: float | None, name: str, unit_ns: int = 1_000_000) -> int | None:
    """A time in units of `unit_ns` (milliseconds); one before the epoch counts as the epoch.

    Raises `TooLarge`, which names the field.
    """
    if value is None:
        return None
    if value * unit_ns > MAX_NS:
        raise TooLarge(f"{name} value too large")
    return max(0, int(value * unit_ns))
