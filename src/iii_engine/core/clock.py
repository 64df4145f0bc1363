"""Time and identifiers, injected into the core so that a simulation can replay them."""

from __future__ import annotations

import random
import secrets
import time
from typing import Protocol


class Clock(Protocol):
    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
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

    def secret(self) -> str:
        """An unguessable token, safe in a URL."""
        ...


class SystemClock:
    now_ns = staticmethod(time.time_ns)


class SystemIds:
    """Unguessable where it matters (`secret`, `uuid` seeds), cheap where it does not.

    UUIDs and span ids come from a Mersenne twister seeded by the operating system: they only have
    to be unique. Access keys and tokens come from `secrets`.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._bits = random.Random(secrets.randbits(256) if seed is None else seed).getrandbits

    def uuid(self) -> str:
        text = f"{self._bits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def trace_id(self) -> str:
        return f"{self._bits(128) | 1:032x}"

    def span_id(self) -> str:
        return f"{self._bits(64) | 1:016x}"

    def secret(self) -> str:
        return secrets.token_urlsafe(24)


class SeededIds(SystemIds):
    """Reproducible ids for simulation and tests: secrets come from the seed as well."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)

    def secret(self) -> str:
        return f"{self._bits(192):048x}"


class VirtualClock:
    """A clock that stands still until it is told to advance."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now = start_ns

    def now_ns(self) -> int:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += int(seconds * 1e9)
