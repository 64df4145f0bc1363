"""Time and identifiers, injected into the core so that a simulation can replay them."""

from __future__ import annotations

import random
import secrets
import time
from typing import Protocol


class Clock(Protocol):
    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch, for what is told to others."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since any moment, for deadlines: never set, never turned back."""
        ...


class Ids(Protocol):
    def uuid(self) -> str:
        """A lower-case, hyphenated version-4 UUID."""
        ...

    def trace_id(self) -> str:
        """32 hex digits, not all zero."""
        ...

    def span_id(self) -> str:
        """16 hex digits, not all zero."""
        ...

    def traceparent(self) -> str:
        """The first span of a new trace, which shares the last digits of the trace's id."""
        ...

    def secret(self) -> str:
        """An unguessable token, safe in a URL."""
        ...

    def secret_uuid(self) -> str:
        """An unguessable token in the form of a version-4 UUID."""
        ...


class SystemClock:
    now_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)


class SystemIds:
    """Unguessable where it matters, cheap where it is not: UUIDs and tokens come from `secrets`.

    Ids are made for many at once, and given out one after another.
    """

    def __init__(self, seed: int | None = None) -> None:
        source = random.Random(secrets.randbits(256) if seed is None else seed)
        self._bytes = source.randbytes
        self._engine = f"{source.getrandbits(64):016x}"
        self._uuids: list[str] = []
        self._spans: list[str] = []

    def uuid(self) -> str:
        if not self._uuids:
            self._uuids = _uuids(self._secret_bytes(16 * POOLED))
        return self._uuids.pop()

    secret_uuid = uuid

    def trace_id(self) -> str:
        return self._engine + self.span_id()

    def span_id(self) -> str:
        if not self._spans:
            self._spans = _spans(self._bytes(8 * POOLED))
        return self._spans.pop()

    def traceparent(self) -> str:
        if not self._spans:  # as in `span_id`, without a call more
            self._spans = _spans(self._bytes(8 * POOLED))
        digits = self._spans.pop()
        return f"00-{self._engine}{digits}-{digits}-01"

    def secret(self) -> str:
        return secrets.token_urlsafe(24)

    def _secret_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def _spans(random_bytes: bytes) -> list[str]:
    """Span ids of 8 bytes each; one that is all zero would be none."""
    return random_bytes.hex(" ", 8).replace(ZERO, NEXT_TO_ZERO).split()


def _uuids(random_bytes: bytes) -> list[str]:
    """UUIDs of version 4, of 16 bytes each, at a tenth of what it costs to put each together.

    All are in one text of groups of four digits with a mark behind each; the marks that a UUID has
    not go, at the same place of each, so that each of them is shorter by one from then on.
    """
    count = len(random_bytes) // 16
    text = bytearray(random_bytes.hex("-", 2).encode() + b"-")
    del text[34::40]
    del text[29::39]
    del text[4::38]
    text[14::37] = b"4" * count
    text[19::37] = b"a" * count
    text[36::37] = b" " * count
    return text.decode().split()


#: Ids that are made at once.
POOLED = 256
ZERO = "0" * 16
NEXT_TO_ZERO = "0" * 15 + "1"

#: 2⁶⁴ divided by the golden ratio, made odd: the ids of two spans of one record differ by it.
GOLDEN = 0x9E3779B97F4A7C15


class SeededIds(SystemIds):
    """Reproducible ids for simulation and tests: secrets come from the seed as well."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)

    def secret(self) -> str:
        return self._bytes(24).hex()

    def _secret_bytes(self, count: int) -> bytes:
        return self._bytes(count)


class VirtualClock:
    """A clock that stands still until it is told to advance."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now = start_ns
        self._ahead = 0

    def now_ns(self) -> int:
        return self._now + self._ahead

    def monotonic_ns(self) -> int:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * 1e9)

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock forward, or back by a negative number; no time passes."""
        self._ahead += round(seconds * 1e9)
