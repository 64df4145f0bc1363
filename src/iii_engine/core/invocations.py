"""Calls of workers: from the message that asks to the call that is on its way, or refused."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from iii_engine.core.access import Access
from iii_engine.core.call_frames import result_frame
from iii_engine.core.caller_stamp import stamp_caller, without_caller
from iii_engine.core.middleware import intercept, middleware_of
from iii_engine.core.router import Call
from iii_engine.core.sessions import (
    HEAVY_BYTES,
    MAX_OUTSTANDING,
    OUTSTANDING_LIMIT,
    WEIGHT_LIMIT,
    Session,
)
from iii_engine.core.tracing import trace_fields
from iii_sdk.protocol import NULL, EnqueueAction, ErrorBody, InvokeFunction
from iii_sdk.traceparent import is_traceparent

if TYPE_CHECKING:
    from iii_engine.core.engine import Engine

log = logging.getLogger("iii.engine")

#: Longer baggage is dropped (W3C Baggage asks for no more to be carried).
MAX_BAGGAGE: Final = 8192

#: How long the engine remembers a call that nobody waits for.
VOID_NS: Final = 600 * 1_000_000_000


class Invocations:
    """Takes the calls of workers in."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._router = engine.router
        self._function = engine.registry.get

    def invoke(self, session: Session, message: InvokeFunction, frame: bytes) -> None:
        """Start a call of a worker, which came in that frame."""
        call = Call(self._router, message.function_id, message.data)
        call.caller = session
        call.caller_id = session.id
        if message.traceparent is not None and is_traceparent(message.traceparent):
            call.caller_trace = message.traceparent
        if message.baggage is not None and len(message.baggage) <= MAX_BAGGAGE:
            call.baggage = message.baggage
        call.metadata = message.metadata
        action = message.action
        if action is None or type(action) is EnqueueAction:
            call.caller_invocation = message.invocation_id or None
        if call.caller_invocation is None:
            call.deadline_ns = self._engine.clock.monotonic_ns() + VOID_NS
        if message.namespace is not None and self._misplaced(session, call, message.namespace):
            return
        if session.access is not None and self._took(session, session.access, call, message, frame):
            return
        if session.weight >= WEIGHT_LIMIT and len(frame) >= HEAVY_BYTES:
            self._refuse(call, _too_heavy(session))
            return
        if action is not None and type(action) is EnqueueAction:
            self._enqueue(call, action)
            return
        function = self._function(message.function_id)
        if function is None:
            self._refuse(call, self._engine.missing(message.function_id))
            return
        if function.local is None:
            stamp_caller(call, session)
        elif function.module is None:  # it leaves the bus, where nobody knows our workers
            call.data = without_caller(message.data, frame)
        if session.outstanding >= OUTSTANDING_LIMIT:
            self._refuse(call, _too_many(session))
            return
        if session.timeout_ms:
            now = self._engine.clock.monotonic_ns()
            call.deadline_ns = now + session.timeout_ms * 1_000_000
        self._router.dispatch(call, function, call.caller_invocation)
        if len(call.data) >= HEAVY_BYTES:
            _weigh(call, session)
        if session.outstanding >= MAX_OUTSTANDING:
            session.asked()

    def _took(
        self, session: Session, access: Access, call: Call, message: InvokeFunction, frame: bytes
    ) -> bool:
        """Whether a call of a guarded session goes no further: held, refused, or intercepted."""
        if session.registrations is not None and session.registrations.hold(message, frame):
            return True
        deferred = type(message.action) is EnqueueAction
        if (refusal := access.refusal(call.function_id, deferred)) is not None:
            self._refuse(call, refusal)
            return True
        middleware = middleware_of(self._engine, session, access, call.function_id)
        if middleware is None:
            return False
        call.data = without_caller(message.data, frame)
        intercept(self._engine, call, middleware, message.action, access)
        session.asked()
        return True

    def _misplaced(self, session: Session, call: Call, namespace: str) -> bool:
        """Whether a call names no namespace. Which one it names makes no difference here."""
        if not namespace.strip():
            self._refuse(
                call, ErrorBody("INVALID_NAMESPACE", "namespace: expected a name, not blank text")
            )
            return True
        if namespace != "default" and "namespace" not in session.warned:
            session.warned.add("namespace")
            log.warning(
                "worker %s calls in namespace %r: this engine has one for all",
                session.name,
                namespace,
            )
        return False

    def _enqueue(self, call: Call, action: EnqueueAction) -> None:
        enqueue = self._engine.enqueue
        if enqueue is None:
            self._refuse(call, ErrorBody("enqueue_error", "QueueModule not loaded"))
        else:
            self._router.accept(call)
            self._router.counters.deferred += 1
            enqueue(call, action)
            if len(call.data) >= HEAVY_BYTES and call.caller is not None:
                _weigh(call, call.caller)

    def _refuse(self, call: Call, error: ErrorBody) -> None:
        """Answer a call at once that never got a provider."""
        session, wanted = call.caller, call.caller_invocation
        self._router.counters.total += 1
        self._router.counters.errors += 1
        if session is None:
            return
        if wanted is None:
            log.info(
                "void call of %s by %s: %s",
                call.function_id,
                session.name,
                error.message,
                extra=trace_fields(call.caller_trace or ""),
            )
        else:
            session.send(
                result_frame(wanted, call.function_id, NULL, error, call.caller_trace, call.baggage)
            )
        self._router.refused(call, error)


def _weigh(call: Call, session: Session) -> None:
    """Count a payload that is still held: nobody has answered, and no frame to a worker has it."""
    call.weight = len(call.data)
    session.burden(call.weight)


def _too_heavy(session: Session) -> ErrorBody:
    text = f"{session.weight} bytes of this worker's calls are not answered yet"
    return ErrorBody("worker_overloaded", text)


def _too_many(session: Session) -> ErrorBody:
    text = f"{session.outstanding} calls of this worker are not answered yet"
    return ErrorBody("worker_overloaded", text)
