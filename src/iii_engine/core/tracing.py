"""Spans of calls: the finished calls themselves in a ring, turned into spans off the hot path."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

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
        self._calls: deque[Call] = deque(maxlen=capacity)
        #: Adds a finished call. Bound here, because every call of the bus comes through it.
        self.add: Final = self._calls.append

    def __iter__(self) -> Iterator[Span]:
        """Oldest first."""
        return map(_span, tuple(self._calls))

    def __len__(self) -> int:
        return len(self._calls)

    def clear(self) -> None:
        self._calls.clear()


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
