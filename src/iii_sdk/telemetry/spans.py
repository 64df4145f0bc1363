"""Spans: one for every call that is handled, and those that a handler makes itself."""

from __future__ import annotations

import random
from time import time_ns
from typing import Any, Final, Protocol

from msgspec import Struct

from iii_sdk.telemetry import otlp

INTERNAL: Final = 1
SERVER: Final = 2

#: Events of one span beyond this are dropped.
MAX_EVENTS: Final = 128

#: Characters of a traceparent, and what stands in it for no span.
SIZE: Final = 55
NO_SPAN: Final = "0" * 16

_bits = random.getrandbits


class Exportable(Protocol):
    """Anything that can be told."""

    def otlp(self) -> dict[str, Any]: ...


class Span:
    """Something that takes time, from its making to `end`. Times are nanoseconds since 1970.

    While it is current, calls are made in its name: `traceparent` and `baggage` go with them.
    """

    # Defaults live on the class: a span of a call pays for what it uses.
    attributes: dict[str, object] | None = None
    baggage: str | None = None
    error: str | None = None
    events: list[tuple[str, int, dict[str, object]]] | None = None
    end_ns = 0

    def __init__(self, name: str, parent: str | None, kind: int = INTERNAL) -> None:
        """`parent` is a traceparent; without one a new trace begins."""
        if parent is None or len(parent) != SIZE:
            parent = f"00-{_bits(128) | 1:032x}-{NO_SPAN}-01"
        self.name = name
        self.parent = parent
        self.kind = kind
        self.span_id = f"{_bits(64) | 1:016x}"
        #: What those get who are called meanwhile.
        self.traceparent = f"{parent[:36]}{self.span_id}{parent[52:]}"
        self.start_ns = time_ns()

    @property
    def trace_id(self) -> str:
        return self.parent[3:35]

    @property
    def parent_id(self) -> str | None:
        """None for the first span of a trace."""
        found = self.parent[36:52]
        return None if found == NO_SPAN else found

    def set(self, key: str, value: object) -> None:
        """Add an attribute."""
        if self.attributes is None:
            self.attributes = {}
        self.attributes[key] = value

    def event(self, name: str, **attributes: object) -> None:
        """Note that something happened now."""
        if self.events is None:
            self.events = []
        if len(self.events) < MAX_EVENTS:
            self.events.append((name, time_ns(), attributes))

    def caught(self, error: BaseException) -> None:
        """Note an exception, as OpenTelemetry names that."""
        text = {"exception.type": type(error).__qualname__, "exception.message": str(error)}
        self.event("exception", **text)

    def end(self, error: str | None = None) -> None:
        """It is over; with an error it failed, as with one that was set before."""
        self.end_ns = time_ns()
        self.error = error or self.error

    def otlp(self) -> dict[str, Any]:
        """As OTLP has it."""
        record: dict[str, Any] = {
            "traceId": self.trace_id,
            "spanId": self.span_id,
            "name": otlp.value(self.name)["stringValue"],
            "kind": self.kind,
            "startTimeUnixNano": str(self.start_ns),
            "endTimeUnixNano": str(self.end_ns),
            "status": {"code": 1}
            if self.error is None
            else {"code": 2, "message": otlp.value(self.error)["stringValue"]},
        }
        if self.parent_id is not None:
            record["parentSpanId"] = self.parent_id
        if self.attributes:
            record["attributes"] = otlp.attributes(self.attributes)
        if self.events:
            record["events"] = [
                {"name": name, "timeUnixNano": str(at), "attributes": otlp.attributes(more)}
                for name, at, more in self.events
            ]
        return record


class CallSpan(Struct, gc=False):
    """The span of a call whose handler had no use for it: nearly all of them."""

    function_id: str
    parent: str | None
    start_ns: int
    end_ns: int
    error: str | None

    def otlp(self) -> dict[str, Any]:
        """As OTLP has it."""
        span = call_span(self.function_id, self.parent, self.start_ns)
        span.end_ns, span.error = self.end_ns, self.error
        return span.otlp()


def call_span(function_id: str, parent: str | None, start_ns: int) -> Span:
    """The span of a call that is handled since then."""
    span = Span(f"call {function_id}", parent, SERVER)
    span.start_ns = start_ns
    return span


def sampled(traceparent: str | None) -> bool:
    """Whether whoever began the trace wants its spans; a trace of our own is always recorded."""
    return traceparent is None or traceparent[-1:] in "13579bdf"
