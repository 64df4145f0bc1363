"""Ids of jobs, which are also their places: the text of a later job is greater.

An id has the form of a version-4 UUID. Its first 48 bits are a time in milliseconds, its next 32 a
count within that millisecond, the rest is random. So the usual job needs no index from its id to
its place, and the store needs one write to keep it.
"""

from __future__ import annotations

from typing import Final

from iii_engine.core.clock import Ids

#: Times that fit into a key, in milliseconds: for some 8,900 years.
LATEST: Final = (1 << 48) - 1

#: Decimal digits of the time in the key of a delayed job.
DUE_DIGITS: Final = 15


class Keys:
    """Makes keys that grow, whatever the clock does meanwhile."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._time = 0
        self._head = _head(0)  # how keys of that time begin
        self._count = 0

    def follow(self, time_ms: int) -> None:
        """There are keys of this time already: new ones are greater, also after a restart."""
        if time_ms >= self._time:
            self._set(time_ms + 1)

    def make(self, now_ms: int, ahead_ms: int = 0) -> str:
        """The next key; `ahead_ms` moves it before those of that many milliseconds, or behind."""
        if now_ms > self._time:
            self._set(now_ms)
            self._count = 0
        else:
            self._count += 1
        head = self._head if not ahead_ms else _head(self._time - ahead_ms)
        digits = f"{self._count:08x}"
        return f"{head}-4{digits[:3]}-a{digits[3:6]}-{digits[6:]}{self._ids.span_id()[6:]}"

    def _set(self, time_ms: int) -> None:
        self._time = time_ms
        self._head = _head(time_ms)


def _head(time_ms: int) -> str:
    """How the keys of a time begin."""
    place = min(max(time_ms, 0), LATEST)
    return f"{place >> 16:08x}-{place & 0xFFFF:04x}"


def time_of(key: str) -> int:
    """The time that a key begins with."""
    return int(key[:8] + key[9:13], 16)


def delayed_key(due_ms: int, job_id: str) -> str:
    """The key of a delayed job: in the order of the times they are due."""
    return f"{due_ms:0{DUE_DIGITS}d}:{job_id}"


def due_of(key: str) -> int:
    """When a delayed job is due, in milliseconds since the epoch."""
    return int(key[:DUE_DIGITS])
