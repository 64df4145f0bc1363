"""Spans: what leaves one behind is itself the record of it, and made a span when somebody looks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from iii_engine.core.clock import GOLDEN, Clock, Ids
from iii_engine.core.spans import Attributes, Span, SpanKind, function_kind
from iii_sdk.traceparent import is_traceparent, parse_traceparent

if TYPE_CHECKING:
    from iii_engine.core.router import Call
    from iii_engine.core.sampling import Sampler

#: The attributes of a span, or what tells them when they are wanted.
Described: TypeAlias = "Attributes | Callable[[], Attributes]"


class Recorded(Protocol):
    """What the ring holds: a call, a span of a module, a span that a worker sent."""

    @property
    def trace_id(self) -> str: ...

    def span_count(self) -> int:
        """How many `spans` there are; for less than what those cost."""
        ...

    def spans(self) -> tuple[Span, ...]: ...


class SpanRing:
    """The newest records, and of those the newest `capacity` spans; adding is O(1).

    `spare` more records are kept for who follows the ring (`after`).
    """

    def __init__(self, capacity: int = 1000) -> None:
        self.resize(capacity)

    def resize(self, capacity: int, spare: int = 0) -> None:
        """Keep that many from now on. `add` is another one afterwards."""
        self.capacity = capacity
        before = getattr(self, "_records", ())
        self._records: deque[Recorded] = deque(before, maxlen=capacity + spare)
        #: Adds what has ended. Bound here, because every call of the bus comes through it.
        self.add = self._records.append

    def __iter__(self) -> Iterator[Span]:
        """Oldest first."""
        spans = [span for record in self.records() for span in record.spans()]
        return iter(spans[-self.capacity :])

    def __len__(self) -> int:
        """How many spans an iteration gives."""
        return min(self.capacity, sum(record.span_count() for record in self.records()))

    def records(self) -> list[Recorded]:
        """The newest ones, oldest first: just enough for as many spans as are kept."""
        found, room = [], self.capacity
        for record in reversed(self._records):
            found.append(record)
            room -= record.span_count()
            if room <= 0:
                break
        found.reverse()
        return found

    def copy(self) -> list[Recorded]:
        """All records, oldest first, with those that are only there for who follows the ring."""
        return list(self._records)

    @property
    def newest(self) -> Recorded | None:
        return self._records[-1] if self._records else None

    def after(self, mark: Recorded | None) -> list[Recorded]:
        """What came after the record `mark`, oldest first; everything when that is gone."""
        new = list(takewhile(lambda record: record is not mark, reversed(self._records)))
        new.reverse()
        return new

    def clear(self) -> None:
        self._records.clear()


class OwnSpan:
    """Something that a module does: under way until `end`, and then a record.

    `traceparent` is the context of what it causes ("" when nothing is traced), `parent` that of
    what caused it, which has to be valid. `trace_id` is that of a new trace whose id matters.
    """

    __slots__ = (
        "_tracing",
        "attributes",
        "ended_ns",
        "error",
        "kind",
        "name",
        "parent",
        "recorded",
        "started_ns",
        "traceparent",
    )

    def __init__(
        self,
        tracing: Tracing,
        name: str,
        kind: SpanKind,
        parent: str | None,
        attributes: Described = (),
        trace_id: str = "",
    ) -> None:
        self._tracing = tracing
        self.name = name
        self.kind: SpanKind = kind
        self.parent = parent
        self.attributes = attributes
        if parent is None and tracing.plain and not trace_id:
            self.traceparent, self.recorded = tracing.new_trace(), True
        else:
            self.traceparent, self.recorded = tracing.context(parent, name, trace_id=trace_id)
        self.started_ns = tracing.now_ns()
        self.ended_ns = 0
        self.error: str | None = None

    def end(self, error: str | None = None) -> None:
        """It is over. `error` says in a few words why it failed."""
        self.error = error
        ended = self._tracing.now_ns()
        self.ended_ns = ended if ended > self.started_ns else self.started_ns
        if self.recorded:
            self._tracing.ring.add(self)

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]

    def span_count(self) -> int:
        return 1

    def spans(self) -> tuple[Span, ...]:
        trace_id, span_id = parse_traceparent(self.traceparent) or ("", "")
        return (
            Span(
                trace_id=trace_id,
                span_id=span_id,
                parent_span_id=None if self.parent is None else self.parent[36:52],
                name=self.name,
                kind=self.kind,
                start_ns=self.started_ns,
                end_ns=self.ended_ns,
                status="ok" if self.error is None else "error",
                status_description=self.error,
                attributes=self.described(),
            ),
        )

    def described(self) -> Attributes:
        """Its attributes, for somebody who looks."""
        attributes = self.attributes
        return attributes() if callable(attributes) else attributes


class Tracing:
    """Which spans are recorded, and how those of modules come about.

    With `sampler` None every trace is recorded but those that their caller does not record. With
    `enabled` False nothing is recorded, and trace contexts pass through unchanged.
    """

    def __init__(self, clock: Clock, ids: Ids, ring: SpanRing) -> None:
        self.ring = ring
        self.now_ns = clock.now_ns
        self._ids = ids
        #: The context of the first span of a new trace.
        self.new_trace = ids.traceparent
        self.use(None)

    def use(self, sampler: Sampler | None, *, enabled: bool = True) -> None:
        """Record so from now on."""
        self.sampler = sampler
        self.enabled = enabled
        #: New traces are recorded without further questions.
        self.plain = enabled and sampler is None

    def start(
        self,
        name: str,
        *,
        kind: SpanKind = "internal",
        parent: str | None = None,
        attributes: Described = (),
        trace_id: str = "",
    ) -> OwnSpan:
        """Begin a span below the traceparent `parent`; a new trace where that is not a valid one.

        Attributes that are dear to make are given as a function.
        """
        if parent is not None and not is_traceparent(parent):
            parent = None
        return OwnSpan(self, name, kind, parent, attributes, trace_id)

    def context(
        self, parent: str | None, name: str, alias: str = "", *, trace_id: str = ""
    ) -> tuple[str, bool]:
        """The traceparent of a new span, "" for none, and whether it is recorded."""
        if not self.enabled:
            return parent or "", False
        if parent is None:
            ids = self._ids
            context = f"00-{trace_id}-{ids.span_id()}-01" if trace_id else ids.traceparent()
            recorded = self.sampler is None or self.sampler.begins(context[3:35], name, alias)
        else:
            recorded = parent[54] not in UNSAMPLED
            if self.sampler is not None:
                recorded = self.sampler.goes_on(parent[3:35], name, alias, recorded)
            context = f"{parent[:36]}{self._ids.span_id()}-01"
        return (context, True) if recorded else (context[:53] + "00", False)

    def begin(self, call: Call) -> str:
        """The traceparent of a call; sets whether it is recorded."""
        if not self.enabled:
            call.recorded = False
            return call.caller_trace or ""
        function_id = call.function_id
        name, alias = f"call {function_id}", ""
        if call.caller_id is not None:
            name, alias = f"handle_invocation {function_id}", name
        context, call.recorded = self.context(call.caller_trace, name, alias)
        return context


#: The last digit of a traceparent whose trace is not recorded.
UNSAMPLED: Final = "02468ace"


def trace_fields(traceparent: str) -> dict[str, object]:
    """The `extra` of a log line about what happened in a trace."""
    return {"fields": {"trace_id": traceparent[3:35], "span_id": traceparent[36:52]}}


def call_spans(call: Call) -> tuple[Span, ...]:
    """The spans of a finished call: of a worker's request, and of the call that came of it."""
    trace_id, span_id = parse_traceparent(call.traceparent) or ("", "")
    caller_trace = call.caller_trace
    parent = None if caller_trace is None else caller_trace[36:52]
    found: tuple[Span, ...] = ()
    attributes: Attributes
    if call.caller_id is not None:
        # Nothing is made on the hot path that can be told from the rest: not the id of this span.
        own_id = span_id if call.function is None else f"{int(span_id, 16) ^ GOLDEN:016x}"
        attributes = (("worker_id", call.caller_id), *_called(call))
        found = (_span(call, trace_id, own_id, parent, "handle_invocation", attributes),)
        parent = own_id
    if call.function is not None:
        attributes = (
            ("faas.invoked_name", call.function_id),
            ("faas.trigger", "other"),
            ("function_id", call.function_id),
            ("iii.function.kind", function_kind(call.function_id)),
        )
        if call.callee_id is not None:
            attributes += (("iii.worker.id", call.callee_id),)
        found += (_span(call, trace_id, span_id, parent, "call", attributes),)
    return found


def _called(call: Call) -> Attributes:
    return (("function_id", call.function_id), ("invocation_id", call.id))


def _span(
    call: Call, trace_id: str, span_id: str, parent: str | None, verb: str, attributes: Attributes
) -> Span:
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        name=f"{verb} {call.function_id}",
        kind="server",
        start_ns=call.started_ns,
        end_ns=call.ended_ns,
        status="ok" if call.error_code is None else "error",
        status_description=call.error_code,
        attributes=attributes,
    )
