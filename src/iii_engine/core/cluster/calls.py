"""Calls between engines: those that come in, and those that their callee has not got."""

from __future__ import annotations

from collections.abc import Iterable

from iii_engine.core.call_frames import result_frame
from iii_engine.core.caller_stamp import without_caller
from iii_engine.core.cluster.peer import CALL
from iii_engine.core.engine import Engine
from iii_engine.core.registry import Function
from iii_engine.core.router import Call
from iii_engine.core.sessions import OUTSTANDING_LIMIT, Session
from iii_sdk import protocol
from iii_sdk.protocol import NULL, ErrorBody, InvokeFunction
from iii_sdk.traceparent import is_traceparent

#: Engines that are tried for one call before it fails.
MAX_ATTEMPTS = 8


def serve(
    engine: Engine, session: Session, function: Function, message: InvokeFunction, frame: bytes
) -> None:
    """Have a worker of this engine do what another engine asks for.

    The other one has checked who calls, and has put the caller's name into the payload.
    """
    call = Call(engine.router, message.function_id, message.data)
    call.caller = session
    call.caller_id = session.id
    call.caller_invocation = message.invocation_id
    if message.traceparent is not None and is_traceparent(message.traceparent):
        call.caller_trace = message.traceparent
    call.baggage = message.baggage
    call.metadata = message.metadata
    if function.local is not None:  # it leaves the bus, where nobody knows our workers
        call.data = without_caller(message.data, frame)
    if session.outstanding >= OUTSTANDING_LIMIT:
        text = f"{session.outstanding} calls of engine {session.name} are not answered yet"
        error = ErrorBody("worker_overloaded", text)
        session.send(result_frame(message.invocation_id or "", function.id, NULL, error))
        return
    if engine.invocation_timeout_ms:
        now = engine.clock.monotonic_ns()
        call.deadline_ns = now + engine.invocation_timeout_ms * 1_000_000
    engine.router.dispatch(call, function, call.caller_invocation)


def undelivered_calls(messages: Iterable[bytes]) -> list[bytes]:
    """The calls among the messages that an engine has not got."""
    return [message for message in messages if message.startswith(CALL)]


def call_elsewhere(engine: Engine, session: Session, calls: list[bytes]) -> None:
    """Give calls that the engine behind `session` has not got, or not taken, to others."""
    for message in calls:
        decoded = protocol.decode(message)
        if not isinstance(decoded, InvokeFunction):
            continue
        call = engine.router.pending.get(decoded.invocation_id or "")
        if call is None or call.callee is not session:
            continue
        if call.attempts < MAX_ATTEMPTS:
            engine.call_again(call, decoded.data)
        else:
            text = f"Function {call.function_id} was not found where {call.attempts} engines said"
            call.fail("function_not_found", text)
