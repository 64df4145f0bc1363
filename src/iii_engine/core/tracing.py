"""Spans of calls: small tuples in a ring, made on the hot path and read off it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """One dispatched call. Times are nanoseconds since the Unix epoch."""

    trace_id: str
    span_id: str
    parent_id: str | None
    function_id: str
    invocation_id: str
    caller: str | None  # worker id, None when the engine itself called
    callee: str | None  # worker id, None for an in-process function
    start_ns: int
    end_ns: int
    error: str | None  # error code


class SpanRing:
    """The newest `capacity` spans; adding is O(1) and never grows."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._slots: list[Span | None] = [None] * capacity
        self._capacity = capacity
        self.recorded = 0

    def add(self, span: Span) -> None:
        self._slots[self.recorded % self._capacity] = span
        self.recorded += 1

    def __iter__(self) -> Iterator[Span]:
        """Oldest first."""
        start = self.recorded % self._capacity
        for span in self._slots[start:] + self._slots[:start]:
            if span is not None:
                yield span

    def __len__(self) -> int:
        return min(self.recorded, self._capacity)

    def clear(self) -> None:
        self._slots = [None] * self._capacity
        self.recorded = 0
