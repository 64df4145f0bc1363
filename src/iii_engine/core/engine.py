"""The bus, without I/O: messages and time go in, messages and effects come out.

A transport makes a session with `connect`, hands each received message to `receive`, drains
`session.outbox` when `session.wake` is called, and ends with `disconnect`. Modules call `call`,
`send` and `add_function`. Timers are pulled: `next_deadline_ns` says when `advance` is due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw

from iii_engine.core.access import Access
from iii_engine.core.backlog import Backlog
from iii_engine.core.channels import Channels
from iii_engine.core.clock import Clock, Ids
from iii_engine.core.declarations import Declarations
from iii_engine.core.foreign_json import TOLERATED_BYTES
from iii_engine.core.guarded_triggers import drop_stranded
from iii_engine.core.invocations import Invocations
from iii_engine.core.log_gate import LogGate
from iii_engine.core.malformed import answer_malformed, endless
from iii_engine.core.meters import Meters
from iii_engine.core.nesting import SHALLOW_BYTES, read_within
from iii_engine.core.numerals import MAX_DIGITS, has_endless_integer
from iii_engine.core.others import Others
from iii_engine.core.refusals import Refusals
from iii_engine.core.registrations import Registering, Registrations
from iii_engine.core.registry import Formats, LocalHandler, Registry
from iii_engine.core.reliance import Reliance
from iii_engine.core.remote import RemoteFunctions
from iii_engine.core.router import Call, OnAnswer, Router
from iii_engine.core.sampling import Sampler
from iii_engine.core.services import Services
from iii_engine.core.sessions import Session, Status
from iii_engine.core.strictness import without_lone_surrogates, without_odd_numbers
from iii_engine.core.timers import Timers
from iii_engine.core.tracing import OwnSpan, SpanRing, Tracing
from iii_engine.core.triggers import Triggers, TriggerType
from iii_sdk import protocol
from iii_sdk.malformed import MalformedMessage, unreadable
from iii_sdk.protocol import (
    NULL,
    EnqueueAction,
    ErrorBody,
    InvocationResult,
    InvokeFunction,
    Message,
)
from iii_sdk.traceparent import is_traceparent

log = logging.getLogger("iii.engine")

#: Takes a call and answers it with a receipt; set by the queue module.
Enqueue = Callable[[Call, EnqueueAction], None]

#: The strict decoder; what it refuses goes through the tolerant one.
_decode: Final = msgspec.json.Decoder(Message).decode

_GONE: Final = Status.GONE


class Engine:
    """Sessions, functions, triggers and calls of one bus."""

    def __init__(
        self, clock: Clock, ids: Ids, *, spans: int = 10_000, invocation_timeout_ms: int = 0
    ) -> None:
        self.clock = clock
        self.ids = ids
        self.spans = SpanRing(spans)
        self.meters = Meters()
        self.registry = Registry()
        self.registry.on_provider = self._provided
        self.tracing = Tracing(clock, ids, self.spans)
        self.router = Router(clock, ids, self.spans)
        self.others = Others(self.router, clock.monotonic_ns)
        self.invocations = Invocations(self)
        self.reliance = Reliance(self.registry, self._take_away)
        self.triggers = Triggers(clock.monotonic_ns, self.reliance)
        self.services = Services(self.registry)
        self.remote = RemoteFunctions(self.registry, self.services)
        self.channels = Channels(clock, ids)
        self.timers = Timers(clock.monotonic_ns)
        self.log_gate = self.router.log_gate = LogGate(self.timers)
        self.refusals = Refusals(clock.monotonic_ns)
        self.sessions: dict[str, Session] = {}
        self.declarations = Declarations(self)
        self.backlog = Backlog()
        self.invocation_timeout_ms = invocation_timeout_ms
        self.enqueue: Enqueue | None = None
        #: Says why a function is missing that another engine had; None when it does not know.
        self.explain: Callable[[str], ErrorBody | None] = _no_explanation
        #: Called with (event, worker id); the events are those of `engine::workers-available`.
        self.on_worker_event: Callable[[str, str], None] = _ignore_event
        #: Takes the telemetry frames of workers, unread.
        self.on_telemetry: Callable[[bytes], None] = ignore_telemetry
        self._epoch = 0

    @property
    def connected(self) -> int:
        """How many workers ever connected; `sessions` are those that are still there."""
        return self._epoch

    # -- connections -----------------------------------------------------------------------------

    def connect(
        self,
        wake: Callable[[Session], None],
        *,
        ip: str = "",
        access: Access | None = None,
        headers: dict[str, str] | None = None,
    ) -> Session:
        """A worker connected. The first message to it is already in its outbox."""
        self._epoch += 1
        session = Session(
            self.ids.uuid(),
            self._epoch,
            ip=ip,
            connected_at_ns=self.clock.now_ns(),
            reattach_token=self.ids.secret(),
            wake=wake,
            access=access,
            headers=headers,
        )
        session.timeout_ms = self.invocation_timeout_ms
        if access is not None:
            session.registrations = Registrations(self, session, access)
        session.send(protocol.encode(protocol.WorkerRegistered(session.id, session.reattach_token)))
        return self._admit(session)

    def join(self, wake: Callable[[Session], None]) -> Session:
        """Another engine can be reached. It is like a worker, and is told nothing by itself."""
        self._epoch += 1
        session = Session(
            self.ids.uuid(),
            self._epoch,
            ip="",
            connected_at_ns=self.clock.now_ns(),
            reattach_token=self.ids.secret(),
            wake=wake,
            is_engine=True,
        )
        return self._admit(session)

    def _admit(self, session: Session) -> Session:
        self.sessions[session.id] = session
        self.on_worker_event("worker_connected", session.id)
        return session

    def disconnect(self, session: Session) -> None:
        """The connection ended: everything of its epoch goes, in the order of wire protocol 4.4."""
        if session.status is Status.GONE:
            return
        session.status = Status.GONE
        session.take()
        self.backlog.forget(session)
        self.sessions.pop(session.id, None)
        if session.registrations is not None:
            session.registrations.close()
        for forget in (
            self.remote.session_gone,
            self.registry.remove_all,
            self.router.session_gone,
            self.triggers.session_gone,
            self.services.session_gone,
            self.channels.session_gone,
        ):
            try:
                forget(session)
            except Exception:  # one failure must not keep the others from being cleaned up
                log.exception("cleaning up after worker %s failed", session.name)
        self.on_worker_event("worker_disconnected", session.id)

    def receive(self, session: Session, frame: bytes) -> None:
        """Apply one message of a worker."""
        if session.status is _GONE:
            return
        try:
            short = len(frame) <= SHALLOW_BYTES
            message = _decode(frame) if short else read_within(_decode, frame)
        except (msgspec.DecodeError, UnicodeDecodeError):
            try:
                frame, message = _read_leniently(frame)
            except MalformedMessage as malformed:
                self.refuse(session, malformed, frame)
                return
        except RecursionError:
            self.refuse(session, unreadable(frame, "nested too deeply"), frame)
            return
        if len(frame) > MAX_DIGITS and has_endless_integer(frame):
            self.refuse(session, endless(message), frame)
            return
        if type(message) is InvocationResult:
            self.router.answer(session, message)
        elif type(message) is InvokeFunction:
            self.invocations.invoke(session, message, frame)
        elif session.registrations is not None and isinstance(message, Registering):
            session.registrations.submit(message, len(frame))
        else:
            self.declarations.apply(session, message)

    def refuse(self, session: Session, malformed: MalformedMessage, frame: bytes) -> None:
        """Drop what is not a message, and tell whoever waits for its effect."""
        if not frame.strip():
            return
        topic = (malformed.message_type or "?")[:64]
        if topic not in session.warned and len(session.warned) < 32:
            session.warned.add(topic)
            log.warning("worker %s: malformed message (%r): %s", session.name, topic, malformed)
        answer_malformed(self.router, session, malformed)

    # -- calls of modules ------------------------------------------------------------------------

    def call(
        self,
        function_id: str,
        data: Raw | bytes,
        on_answer: OnAnswer | None,
        *,
        timeout_ms: int = 0,
        traceparent: str | None = None,
        span: OwnSpan | None = None,
        baggage: str | None = None,
        metadata: Raw = NULL,
    ) -> Call:
        """Call a function in the engine's own name.

        `on_answer(result, error)` is called exactly once, possibly before this returns. `data` is
        JSON bytes. Without `on_answer` nobody waits. `timeout_ms` 0 means no deadline. The call
        belongs to a trace by `traceparent`, which counts when it is valid, or by a `span` of ours.
        """
        call = Call(self.router, function_id, data)
        call.on_answer = on_answer
        call.baggage = baggage
        call.metadata = metadata
        if span is not None:
            call.caller_trace = span.traceparent or None
        elif traceparent is not None and is_traceparent(traceparent):
            call.caller_trace = traceparent
        timeout = timeout_ms or self.invocation_timeout_ms
        if timeout:
            call.deadline_ns = self.clock.monotonic_ns() + timeout * 1_000_000
        function = self.registry.get(function_id)
        if function is None:
            self.router.counters.total += 1
            self.router.counters.errors += 1
            if on_answer is not None:
                on_answer(NULL, self.missing(function_id))
        else:
            self.router.dispatch(call, function, None)
        return call

    def call_again(self, call: Call, data: Raw) -> None:
        """Find another provider for a call that its callee never got; `data` is what it carried."""
        self.router.take_back(call)
        call.data = data
        call.ending = b"}"  # `data` says who called
        function = self.registry.get(call.function_id)
        if function is not None:
            self.router.dispatch(call, function, call.id)
        else:
            self.router.accept(call)
            call.settle(NULL, self.missing(call.function_id))

    def missing(self, function_id: str) -> ErrorBody:
        """Why there is no such function."""
        return self.explain(function_id) or self.remote.missing(function_id)

    # -- what modules provide --------------------------------------------------------------------

    def add_function(
        self,
        function_id: str,
        handler: LocalHandler,
        *,
        module: str,
        description: str | None = None,
        formats: Formats | tuple[Raw, Raw] = (NULL, NULL),
    ) -> None:
        """Register an in-process function; `handler` answers the `Call` it is given."""
        self.registry.add_local(
            function_id, handler, module=module, description=description, formats=formats
        )

    def remove_function(self, function_id: str) -> None:
        self.registry.remove_local(function_id)

    def add_trigger_type(self, kind: TriggerType, aliases: tuple[str, ...] = ()) -> None:
        self.triggers.add_type(kind, aliases)

    def remove_trigger_type(self, type_id: str) -> None:
        self.triggers.remove_type(type_id)

    # -- tracing ---------------------------------------------------------------------------------

    def trace(self, sampler: Sampler | None, *, enabled: bool = True) -> None:
        """Record the traces that `sampler` picks (None: all), or none at all."""
        self.tracing.use(sampler, enabled=enabled)
        self.router.trace = None if self.tracing.plain else self.tracing.begin

    def keep_spans(self, capacity: int, spare: int = 0) -> None:
        """Keep that many spans, and `spare` more records for who follows the ring."""
        self.spans.resize(capacity, spare)
        self.router.record = self.spans.add

    # -- time ------------------------------------------------------------------------------------

    def next_deadline_ns(self) -> int | None:
        """When `advance` has something to do, on the monotonic clock."""
        due = [
            d
            for d in (
                self.router.next_deadline_ns(),
                self.triggers.next_warning_ns(),
                self.channels.next_deadline_ns(),
                self.timers.next_deadline_ns(),
            )
            if d is not None
        ]
        return min(due, default=None)

    def advance(self) -> None:
        """Do what is due at the clock's time."""
        self.router.expire()
        self.triggers.warn()
        self.channels.advance()
        self.timers.advance()

    def _provided(self, function_id: str) -> None:
        self.reliance.judge(function_id)
        drop_stranded(self, function_id)

    def _take_away(self, session: Session, function_id: str) -> None:
        self.declarations.apply(session, protocol.UnregisterFunction(function_id))


def _read_leniently(frame: bytes) -> tuple[bytes, Message]:
    """A message that is no strict JSON, and the frame as it was read. Raises `MalformedMessage`."""
    if len(frame) <= TOLERATED_BYTES:
        return frame, read_within(protocol.decode, frame)
    try:
        frame = without_lone_surrogates(without_odd_numbers(frame))
        return frame, read_within(_decode, frame)
    except (ValueError, RecursionError) as error:
        raise unreadable(frame, str(error)) from None


def ignore_telemetry(frame: bytes) -> None:
    """What becomes of telemetry that nobody keeps."""


def _ignore_event(event: str, worker_id: str) -> None:
    pass


def _no_explanation(function_id: str) -> ErrorBody | None:
    return None
