"""Calls: from the frame that asks to the one answer that settles it.

Every call that expects an answer is a `Call` in `Router.pending` before its frame is handed to the
callee, and leaves it with exactly one answer: the callee's result or error, `invocation_stopped`
when the callee goes, `timeout` when a deadline passes. The payload is carried as raw bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from iii_engine.core.clock import Clock, Ids
from iii_engine.core.deadlines import Deadlines
from iii_engine.core.registry import Function
from iii_engine.core.sessions import SLOW_BYTES, Session
from iii_engine.core.spans import Span
from iii_engine.core.tracing import UNSAMPLED, SpanRing, call_spans, trace_fields
from iii_sdk.protocol import (
    NULL,
    ErrorBody,
    InvocationResult,
    error_body,
    is_null,
    is_uuid,
)

log = logging.getLogger("iii.router")

#: Receives the result, or the error and then no result.
OnAnswer: TypeAlias = Callable[[Raw, ErrorBody | None], None]

_encode = msgspec.json.encode

#: What a span keeps of an error code, in characters.
MAX_CODE: Final = 256


class Call:
    """One call under way. In-process functions get it as their argument and answer through it.

    The defaults live on the class, so that a call only pays for what it uses.
    """

    id: str = ""
    function: Function | None = None
    caller: Session | None = None
    caller_id: str | None = None
    #: The id that the caller's answer must carry; None when nobody waits on a connection.
    caller_invocation: str | None = None
    #: The caller's traceparent; one that is not of the W3C form counts as none.
    caller_trace: str | None = None
    #: The engine's own span for this call, parent of whatever the call causes.
    traceparent: str = ""
    baggage: str | None = None
    metadata: Raw = NULL
    #: What a worker gets in place of the closing brace of an object: who called.
    stamp: bytes = b""
    on_answer: OnAnswer | None = None
    callee: Session | None = None
    callee_id: str | None = None
    started_ns: int = 0
    ended_ns: int = 0
    deadline_ns: int = 0
    error_code: str | None = None
    #: Whether its trace is recorded.
    recorded: bool = True
    #: How many callees have not got it.
    attempts: int = 0

    def __init__(self, router: Router, function_id: str, data: Raw | bytes) -> None:
        self.router = router
        self.function_id = function_id  # as the caller wrote it
        self.data = data

    @property
    def answered(self) -> bool:
        return self.id not in self.router.pending

    def reply(self, result: Raw | bytes = NULL) -> None:
        """Answer with JSON bytes. A second answer is ignored."""
        if self.router.pending.pop(self.id, None) is not None:
            self.router.finish(self, result, None)

    def fail(self, code: str, message: str) -> None:
        """Answer with an error. A second answer is ignored."""
        if self.router.pending.pop(self.id, None) is not None:
            self.router.finish(self, NULL, ErrorBody(code, message))

    def settle(self, result: Raw | bytes, error: ErrorBody | None) -> None:
        """Answer with what another call was answered with. A second answer is ignored."""
        if self.router.pending.pop(self.id, None) is not None:
            self.router.finish(self, result, error)

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]

    def span_count(self) -> int:
        return (self.caller_id is not None) + (self.function is not None)

    def spans(self) -> tuple[Span, ...]:
        """What it is in traces, once it has ended."""
        return call_spans(self)

    def cancel(self) -> None:
        """Nobody waits any more: the late result is dropped."""
        self.on_answer = None
        self.caller_invocation = None


class Counters:
    """Totals since start; those of a function are its `Tally`."""

    __slots__ = ("deferred", "dropped_events", "dropped_results", "errors", "overloaded", "total")

    def __init__(self) -> None:
        self.total = 0
        self.errors = 0
        self.deferred = 0  # handed to a queue instead of a function
        self.overloaded = 0
        self.dropped_results = 0
        self.dropped_events = 0  # of triggers that did not keep up


class Router:
    def __init__(self, clock: Clock, ids: Ids, spans: SpanRing) -> None:
        self._now = clock.now_ns
        self._monotonic = clock.monotonic_ns
        self._ids = ids
        #: Takes finished calls.
        self.record = spans.add
        #: Gives calls their trace context where that takes more than the next id.
        self.trace: Callable[[Call], str] | None = None
        self.pending: dict[str, Call] = {}
        self.counters = Counters()
        self._deadlines = Deadlines()

    # -- outward ---------------------------------------------------------------------------------

    def dispatch(self, call: Call, function: Function, wanted_id: str | None) -> None:
        """Hand the call to whoever provides the function."""
        pending = self.pending
        if wanted_id is not None and wanted_id not in pending and is_uuid(wanted_id):
            call_id = wanted_id
        else:
            call_id = self._ids.uuid()
        call.id = call_id
        call.function = function
        if self.trace is not None:
            traceparent = self.trace(call)
        elif call.caller_trace is None:
            traceparent = self._ids.traceparent()
        else:
            traceparent = self._below(call, call.caller_trace)
        call.traceparent = traceparent
        call.started_ns = self._now()
        pending[call_id] = call
        if call.caller_invocation is not None and call.caller is not None:
            call.caller.outstanding += 1
        if call.deadline_ns:
            self._deadlines.add(call_id, call.deadline_ns)
        if function.local is not None:
            function.local(call)
            return
        callee = function.target or function.choose()
        if callee is None:
            call.fail("function_not_found", f"Function {function.id} not found")
            return
        id_json = function.id_json
        if callee.access is not None:
            id_json = callee.access.names.sent(function.id) or id_json
        if call.baggage is None and call.metadata is NULL and call.stamp and traceparent:
            # What nearly every call between workers is: joined here, without another call.
            frame = b"".join(
                (
                    f'{{"type":"invokefunction","invocation_id":"{call_id}",'
                    f'"traceparent":"{traceparent}","function_id":'.encode(),
                    id_json,
                    b',"data":',
                    memoryview(call.data)[:-1],
                    call.stamp,
                    b"}",
                )
            )
        else:
            frame = _invocation_frame(call, id_json)
        if len(frame) > callee.max_message:
            call.fail("payload_too_large", _too_large(len(frame), callee))
        elif callee.outbox_bytes > SLOW_BYTES and callee.overloaded:
            self.counters.overloaded += 1
            call.fail("worker_overloaded", f"Worker {callee.name} does not keep up with its calls")
        else:
            if callee.timeout_ms and not call.deadline_ns:
                call.deadline_ns = self._monotonic() + callee.timeout_ms * 1_000_000
                self._deadlines.add(call_id, call.deadline_ns)
            call.callee = callee
            call.callee_id = callee.id
            callee.active += 1
            if callee.paused:
                callee.consider()  # its answers must be read
            call.data = b""  # the frame holds it now
            callee.send(frame)

    def take_back(self, call: Call) -> None:
        """Undo `dispatch`: the callee has not got the call, and somebody else may."""
        del self.pending[call.id]
        if call.deadline_ns:
            self._deadlines.remove(call.id, call.deadline_ns)
        if call.callee is not None:
            call.callee.active -= 1
            call.callee = call.callee_id = None
        if call.caller_invocation is not None and call.caller is not None:
            call.caller.outstanding -= 1
        call.attempts += 1

    def accept(self, call: Call) -> None:
        """Take a call that something other than a provider will answer."""
        self._begin(call)
        self.pending[call.id] = call
        if call.caller_invocation is not None and call.caller is not None:
            call.caller.outstanding += 1

    def refused(self, call: Call, error: ErrorBody) -> None:
        """Remember a call that nobody got, as a span that says why."""
        self._begin(call)
        call.ended_ns, call.error_code = call.started_ns, error.code
        if call.recorded:
            call.data, call.metadata = b"", NULL
            call.caller = call.caller_invocation = call.baggage = None
            self.record(call)

    def _begin(self, call: Call) -> None:
        call.id = self._ids.uuid()
        if self.trace is not None:
            call.traceparent = self.trace(call)
        elif call.caller_trace is None:
            call.traceparent = self._ids.traceparent()
        else:
            call.traceparent = self._below(call, call.caller_trace)
        call.started_ns = self._now()

    def _below(self, call: Call, parent: str) -> str:
        """A new span below a valid parent, which is recorded if that one is."""
        if parent[54] in UNSAMPLED:
            call.recorded = False
            return f"{parent[:36]}{self._ids.span_id()}-00"
        return f"{parent[:36]}{self._ids.span_id()}-01"

    # -- inward ----------------------------------------------------------------------------------

    def answer(self, session: Session, message: InvocationResult) -> None:
        """A worker answered. Unknown, late and foreign results are dropped."""
        call = self.pending.get(message.invocation_id)
        if call is None or call.callee is not session:
            self._drop(session)
            return
        del self.pending[call.id]
        if message.error is NULL or is_null(message.error):
            self.finish(call, message.result, None)
        else:
            self.finish(call, NULL, error_body(message.error))

    def _drop(self, session: Session) -> None:
        self.counters.dropped_results += 1
        if "dropped result" not in session.warned:
            session.warned.add("dropped result")
            log.warning("worker %s answers calls that nobody waits for", session.name)

    def finish(self, call: Call, result: Raw | bytes, error: ErrorBody | None) -> None:
        """Settle a call that has just left `pending`."""
        call.ended_ns = ended = self._now()
        function = call.function
        if call.deadline_ns:
            self._deadlines.remove(call.id, call.deadline_ns)
        if (callee := call.callee) is not None:
            callee.active -= 1
        self.counters.total += 1
        if function is not None:
            took = ended - call.started_ns
            tally = function.tally
            tally.durations[took.bit_length()] += 1
            tally.nanoseconds += took
        if error is not None:
            call.error_code = error.code[:MAX_CODE]
            self.counters.errors += 1
            if function is not None:
                function.tally.errors += 1
        caller = call.caller
        if caller is not None:
            if call.caller_invocation is not None:
                caller.outstanding -= 1
                if caller.paused:
                    caller.consider()
                self._send_result(call, caller, result, error)
            elif error is not None:
                log.info(
                    "void call of %s failed: %s",
                    call.function_id,
                    error.code,
                    extra=trace_fields(call.traceparent),
                )
        elif (on_answer := call.on_answer) is not None:
            call.on_answer = None
            try:
                on_answer(result if isinstance(result, Raw) else Raw(result), error)
            except Exception:  # it must not keep others from their answers
                log.exception("what waited for %s failed", call.function_id)
        # The ring keeps the call as its span: its ids, times and context, not what it carried.
        call.data, call.metadata, call.stamp = b"", NULL, b""
        call.caller = call.callee = call.caller_invocation = None
        if call.baggage is not None and (function is None or function.local is None):
            call.baggage = None  # who answers in process may hand it on to what follows
        if call.recorded:
            self.record(call)

    def _send_result(
        self, call: Call, caller: Session, result: Raw | bytes, error: ErrorBody | None
    ) -> None:
        wanted = call.caller_invocation or ""
        if wanted is call.id and error is None and call.baggage is None and call.traceparent:
            # A UUID and no baggage: nothing in the head needs escaping.
            head = (
                f'{{"type":"invocationresult","invocation_id":"{wanted}","traceparent":'
                f'"{call.traceparent}","function_id":'
            ).encode()
            id_json = call.function.id_json if call.function else b'""'
            if result == NULL:
                frame = b"".join((head, id_json, b"}"))
            else:
                frame = b"".join((head, id_json, b',"result":', result, b"}"))
        else:
            # What no function answered is not a span of its own to the caller.
            trace = call.caller_trace if call.function is None else call.traceparent or None
            frame = result_frame(wanted, call.function_id, result, error, trace, call.baggage)
        if len(frame) > caller.max_message:
            too_large = ErrorBody("payload_too_large", _too_large(len(frame), caller))
            trace = call.traceparent or None
            frame = result_frame(wanted, call.function_id, NULL, too_large, trace)
        caller.send(frame)

    # -- ends without an answer ------------------------------------------------------------------

    def session_gone(self, session: Session) -> None:
        """Stop the calls towards a session; forget the return path of those from it."""
        if session.active == 0 and session.outstanding == 0:
            return
        mine = [c for c in self.pending.values() if c.callee is session or c.caller is session]
        session.outstanding = 0
        for call in mine:
            del self.pending[call.id]
            if call.caller is session:  # its callee runs on, and the late result is dropped
                call.caller = None
                self.finish(call, NULL, ErrorBody("caller_gone", "The caller is gone"))
            else:
                self.finish(call, NULL, ErrorBody("invocation_stopped", "Invocation stopped"))

    def next_deadline_ns(self) -> int | None:
        return self._deadlines.next_ns()

    def expire(self) -> None:
        """Answer the calls whose deadline has passed."""
        for call_id in self._deadlines.take_due(self._monotonic()):
            call = self.pending.pop(call_id, None)
            if call is not None:
                call.deadline_ns = 0
                message = f"Function {call.function_id} did not answer in time"
                self.finish(call, NULL, ErrorBody("timeout", message))


def _invocation_frame(call: Call, id_json: bytes) -> bytes:
    trace = f'"traceparent":"{call.traceparent}",' if call.traceparent else ""
    parts: list[Raw | bytes | memoryview] = [
        f'{{"type":"invokefunction","invocation_id":"{call.id}",{trace}"function_id":'.encode(),
        id_json,
    ]
    if call.baggage is not None:
        parts += (b',"baggage":', _encode(call.baggage))
    if not is_null(call.metadata):
        parts += (b',"metadata":', call.metadata)
    if call.stamp:
        parts += (b',"data":', memoryview(call.data)[:-1], call.stamp, b"}")
    else:
        parts += (b',"data":', call.data, b"}")
    return b"".join(parts)


def _too_large(size: int, receiver: Session) -> str:
    return (
        f"the message has {size} bytes and {receiver.name} accepts {receiver.max_message}; "
        "send large data through a channel"
    )


def result_frame(
    invocation_id: str,
    function_id: str,
    result: Raw | bytes,
    error: ErrorBody | None = None,
    traceparent: str | None = None,
    baggage: str | None = None,
) -> bytes:
    """The bytes of an `invocationresult`; an absent or null result is left out."""
    head = b'{"type":"invocationresult","invocation_id":%b,"function_id":%b' % (
        _encode(invocation_id),
        _encode(function_id),
    )
    parts: list[Raw | bytes] = [head]
    if traceparent is not None:
        parts.append(b',"traceparent":"%b"' % traceparent.encode())
    if baggage is not None:
        parts += (b',"baggage":', _encode(baggage))
    if error is not None:
        parts += (b',"error":', _encode(error))
    elif result != NULL:
        parts += (b',"result":', result)
    parts.append(b"}")
    return b"".join(parts)
