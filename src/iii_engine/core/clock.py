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
    """Unguessable where it matters, cheap where it is not.

    Access keys and tokens come from `secrets`. UUIDs are a counter spread over their last 60 bits
    by an odd factor (so they never repeat), behind digits that are random for each engine. Trace
    and span ids, one for every call, are cut from random digits that are made for many at once.
    """

    def __init__(self, seed: int | None = None) -> None:
        digits = random.Random(secrets.randbits(256) if seed is None else seed)
        self._bits, self._bytes = digits.getrandbits, digits.randbytes
        self._engine = f"{self._bits(64):016x}"
        self._head = f"{self._bits(32):08x}-{self._bits(16):04x}-4{self._bits(12):03x}-a"
        self._count = self._bits(64)
        self._pool = ""  # secret UUIDs, made many at once
        self._used = 0
        self._digits = ""  # of span ids to come
        self._taken = 0

    def uuid(self) -> str:
        self._count = count = self._count + 1
        digits = "%015x" % (count * GOLDEN & _UUID_MASK)
        return f"{self._head}{digits[:3]}-{digits[3:]}"

    def trace_id(self) -> str:
        return self._engine + self.span_id()

    def span_id(self) -> str:
        start = self._taken
        if start >= len(self._digits):
            self._digits, start = self._new_digits(), 0
        self._taken = end = start + 16
        return self._digits[start:end]

    def traceparent(self) -> str:
        start = self._taken  # as in `span_id`, without a call more
        if start >= len(self._digits):
            self._digits, start = self._new_digits(), 0
        self._taken = end = start + 16
        digits = self._digits[start:end]
        return f"00-{self._engine}{digits}-{digits}-01"

    def _new_digits(self) -> str:
        """The digits of `POOLED` span ids, none of which is all zero."""
        digits = ZERO
        while ZERO in digits:
            digits = self._bytes(8 * POOLED).hex()
        return digits

    def secret(self) -> str:
        return secrets.token_urlsafe(24)

    def secret_uuid(self) -> str:
        start = self._used
        if start >= len(self._pool):
            self._pool, start = _secret_uuids(256), 0
        self._used = start + 36
        return self._pool[start : start + 36]


def _secret_uuids(count: int) -> str:
    """Random UUIDs of version 4, one after another. All get a digit at a time, which costs a sixth
    of putting each together."""
    digits = secrets.token_hex(16 * count).encode()
    text = bytearray(b"-" * (36 * count))
    places = [place for place in range(36) if place not in (8, 13, 18, 23)]
    for digit, place in enumerate(places):
        text[place::36] = digits[digit::32]
    text[14::36] = b"4" * count
    text[19::36] = b"a" * count
    return text.decode()


#: Span ids that are made at once.
POOLED = 256
ZERO = "0" * 16

#: 2⁶⁴ divided by the golden ratio, made odd: multiplying by it permutes the 64-bit numbers.
GOLDEN = 0x9E3779B97F4A7C15
_UUID_MASK = (1 << 60) - 1


class SeededIds(SystemIds):
    """Reproducible ids for simulation and tests: secrets come from the seed as well."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)

    def secret(self) -> str:
        return f"{self._bits(192):048x}"

    def secret_uuid(self) -> str:
        return self.uuid()


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
