"""Spans of calls: the finished calls themselves in a ring, turned into spans off the hot path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from iii_sdk.protocol import parse_traceparent

if TYPE_CHECKING:
    from iii_engine.core.router import Call


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
    """The newest `capacity` finished calls; adding is O(1) and never grows."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._slots: list[Call | None] = [None] * capacity
        self._capacity = capacity
        self.recorded = 0

    def add(self, call: Call) -> None:
        self._slots[self.recorded % self._capacity] = call
        self.recorded += 1

    def __iter__(self) -> Iterator[Span]:
        """Oldest first."""
        start = self.recorded % self._capacity
        for call in self._slots[start:] + self._slots[:start]:
            if call is not None:
                yield _span(call)

    def __len__(self) -> int:
        return min(self.recorded, self._capacity)

    def clear(self) -> None:
        self._slots = [None] * self._capacity
        self.recorded = 0


def _span(call: Call) -> Span:
    trace_id, span_id = parse_traceparent(call.traceparent) or ("", "")
    parent = parse_traceparent(call.caller_trace) if call.caller_trace else None
    return Span(
        trace_id,
        span_id,
        parent[1] if parent else None,
        call.function_id,
        call.id,
        call.caller_id,
        call.callee_id,
        call.started_ns,
        call.ended_ns,
        call.error_code,
    )
