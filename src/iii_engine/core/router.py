"""Calls: from the frame that asks to the one answer that settles it.

Every call that expects an answer is a `Call` in `Router.pending` before its frame is handed to the
callee, and leaves it with exactly one answer: the callee's result or error, `invocation_stopped`
when the callee goes, `timeout` when a deadline passes. The payload is carried as raw bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from typing import Final, TypeAlias

from msgspec import Raw

from iii_engine.core.call_frames import answer_frame, invocation_frame, too_large
from iii_engine.core.clock import Clock, Ids
from iii_engine.core.deadlines import Deadlines
from iii_engine.core.log_gate import LogGate
from iii_engine.core.registry import Function
from iii_engine.core.sessions import SLOW_BYTES, Session
from iii_engine.core.spans import Span
from iii_engine.core.tracing import UNSAMPLED, SpanRing, call_spans, trace_fields
from iii_sdk.protocol import NULL, ErrorBody, InvocationResult, error_body, is_null, is_uuid

log = logging.getLogger("iii.router")

#: Receives the result, or the error and then no result.
OnAnswer: TypeAlias = Callable[[Raw, ErrorBody | None], None]

#: What a span keeps of an error code, in characters.
MAX_CODE: Final = 256


class Call:
    """One call under way. In-process functions get it as their argument and answer through it."""

    __slots__ = (
        "attempts",
        "baggage",
        "callee",
        "callee_id",
        "caller",
        "caller_id",
        "caller_invocation",
        "caller_trace",
        "data",
        "deadline_ns",
        "ended_ns",
        "ending",
        "error_code",
        "function",
        "function_id",
        "id",
        "metadata",
        "on_answer",
        "recorded",
        "router",
        "started_ns",
        "traceparent",
        "weight",
    )

    def __init__(self, router: Router, function_id: str, data: Raw | bytes) -> None:
        self.router = router
        self.id = ""
        self.function_id = function_id  # as the caller wrote it
        self.data = data
        self.function: Function | None = None
        self.caller: Session | None = None
        self.caller_id: str | None = None
        #: The id that the caller's answer must carry; None when nobody waits on a connection.
        self.caller_invocation: str | None = None
        #: The caller's traceparent; one that is not of the W3C form counts as none.
        self.caller_trace: str | None = None
        #: The engine's own span for this call, parent of whatever the call causes.
        self.traceparent = ""
        self.baggage: str | None = None
        self.metadata = NULL
        #: What follows `data` in the callee's frame: the envelope's brace. Where the payload names
        #: its caller, this begins with the name and the payload's own brace, and `data` ends before
        #: them.
        self.ending = b"}"
        self.on_answer: OnAnswer | None = None
        self.callee: Session | None = None
        self.callee_id: str | None = None
        self.started_ns = self.ended_ns = self.deadline_ns = 0
        self.error_code: str | None = None
        self.recorded = True  # whether its trace is
        self.attempts = self.weight = 0  # callees that have not got it; its part of its caller's

    @property
    def answered(self) -> bool:
        return self.router.pending.get(self.id) is not self

    def reply(self, result: Raw | bytes = NULL) -> None:
        """Answer with JSON bytes. A second answer is ignored."""
        self.settle(result, None)

    def fail(self, code: str, message: str) -> None:
        """Answer with an error. A second answer is ignored."""
        self.settle(NULL, ErrorBody(code, message))

    def settle(self, result: Raw | bytes, error: ErrorBody | None) -> None:
        """Answer with what another call was answered with. A second answer is ignored."""
        pending = self.router.pending
        if pending.get(self.id) is self:  # by now its id may be another's
            del pending[self.id]
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
    #: For lines about calls; the engine's.
    log_gate: LogGate

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
        if (
            wanted_id is not None
            and is_uuid(wanted_id)
            and pending.setdefault(wanted_id, call) is call
        ):
            call_id = wanted_id
        else:
            while pending.setdefault(call_id := self._ids.uuid(), call) is not call:
                pass  # a caller has used this one
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
        if call.caller_invocation is not None and call.caller is not None:
            call.caller.outstanding += 1
        if call.deadline_ns:
            self._deadlines.add(call_id, call.deadline_ns)
        if function.local is not None:
            try:
                function.local(call)
            except Exception:  # it is the module's, not the caller's, whose connection goes on
                log.exception("function %s failed", function.id)
                call.fail("invocation_failed", "internal server error")
            return
        callee = function.target
        if callee is None:
            callee = function.choose()
        if callee is None:
            call.fail("function_not_found", f"Function {function.id} not found")
            return
        if call.baggage is None and call.metadata is NULL and traceparent and callee.access is None:
            # What nearly every call between workers is: joined here, without another call.
            head = (
                f'{{"type":"invokefunction","invocation_id":"{call_id}",'
                f'"traceparent":"{traceparent}",{function.named},"data":'
            )
            frame = b"".join((head.encode(), call.data, call.ending))
        else:
            id_json = callee.access and callee.access.names.sent(function.id)
            frame = invocation_frame(call, id_json or function.id_json)
        if len(frame) > callee.max_message:
            call.fail("payload_too_large", too_large(len(frame), callee))
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
        while self.pending.setdefault(call.id, call) is not call:
            call.id = self._ids.uuid()  # a caller has used this one
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
        ended = self._now()
        if ended < call.started_ns:  # the clock was set back
            ended = call.started_ns
        call.ended_ns = ended
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
        caller, wanted = call.caller, call.caller_invocation
        if call.weight and caller is not None:
            caller.lighten(call.weight)
        if caller is None:
            if call.on_answer is not None:
                _tell(call, call.on_answer, result, error)
        elif wanted is not None:
            caller.outstanding -= 1
            if caller.paused:
                caller.consider()
            if (
                error is None
                and wanted is call.id
                and function is not None
                and call.baggage is None
                and call.traceparent
            ):
                # What nearly every answer is: nothing in its head needs escaping.
                head = (
                    f'{{"type":"invocationresult","invocation_id":"{wanted}",'
                    f'"traceparent":"{call.traceparent}",{function.named}'
                )
                if result == NULL:
                    frame = b"%b}" % head.encode()
                else:
                    frame = b"".join((head.encode(), b',"result":', result, b"}"))
            else:
                frame = answer_frame(call, wanted, result, error)
            if len(frame) > caller.max_message:
                refusal = ErrorBody("payload_too_large", too_large(len(frame), caller))
                frame = answer_frame(call, wanted, NULL, refusal)
            caller.send(frame)
        elif error is not None:
            log.info(
                "void call of %s failed: %s",
                call.function_id,
                error.code,
                extra=trace_fields(call.traceparent),
            )
        # The ring keeps the call as its span: its ids, times and context, not what it carried.
        call.data, call.metadata = b"", NULL
        call.caller = call.callee = call.caller_invocation = None
        if call.baggage is not None and (function is None or function.local is None):
            call.baggage = None  # who answers in process may hand it on to what follows
        if call.recorded:
            self.record(call)

    # -- ends without an answer ------------------------------------------------------------------

    def session_gone(self, session: Session) -> None:
        """Stop the calls towards a session; forget the return path of those from it."""
        if session.active == 0 and session.outstanding == 0:
            return
        mine = [c for c in self.pending.values() if c.callee is session or c.caller is session]
        session.outstanding = 0
        for call in mine:
            if call.caller is session:  # its callee runs on, and the late result is dropped
                call.caller = None
                call.fail("caller_gone", "The caller is gone")
            else:
                call.fail("invocation_stopped", "Invocation stopped")

    def stop(self, sessions: Container[Session | None] | None = None) -> None:
        """Answer the calls from and to these sessions, or all, since nobody can any more."""
        for call in list(self.pending.values()):
            if sessions is None or call.callee in sessions or call.caller in sessions:
                call.fail("invocation_stopped", "Invocation stopped")

    def next_deadline_ns(self) -> int | None:
        return self._deadlines.next_ns()

    def expire(self) -> None:
        """Answer the calls whose deadline has passed."""
        for call_id in self._deadlines.take_due(self._monotonic()):
            if (call := self.pending.pop(call_id, None)) is not None:
                call.deadline_ns = 0
                message = f"Function {call.function_id} did not answer in time"
                self.finish(call, NULL, ErrorBody("timeout", message))


def _tell(call: Call, on_answer: OnAnswer, result: Raw | bytes, error: ErrorBody | None) -> None:
    """Answer what called in the engine's own name."""
    call.on_answer = None
    try:
        on_answer(result if isinstance(result, Raw) else Raw(result), error)
    except Exception:  # it must not keep others from their answers
        log.exception("what waited for %s failed", call.function_id)
