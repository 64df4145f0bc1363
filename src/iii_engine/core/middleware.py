"""The middleware of a listener: it is called in place of the functions, and answers for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw, Struct, json

from iii_sdk.protocol import Action, ErrorBody

if TYPE_CHECKING:
    from iii_engine.core.access import Access
    from iii_engine.core.engine import Engine
    from iii_engine.core.router import Call
    from iii_engine.core.sessions import Session


class Intercepted(Struct):
    """What the middleware gets: the call as the caller meant it, and the caller's context."""

    function_id: str
    payload: Raw
    action: Action | None
    context: dict[str, Raw]


def middleware_of(engine: Engine, session: Session, access: Access, function_id: str) -> str | None:
    """The function that gets this call of a session instead, if any.

    Not for the engine's own functions; and the workers that are the middleware now reach the real
    functions, or they would only ever call themselves.
    """
    middleware = access.rules.middleware
    if middleware is None or function_id.startswith("engine::"):
        return None
    provided = engine.registry.get(middleware)
    if provided is not None and session in provided.providers:
        newest = provided.newest.session
        if newest is None or session.group == newest.group:
            return None
    return middleware


def intercept(
    engine: Engine, call: Call, middleware: str, action: Action | None, access: Access
) -> None:
    """Let the middleware answer. Without a provider of it the call fails."""

    def answered(result: Raw, error: ErrorBody | None) -> None:
        call.settle(result, error)

    payload = Intercepted(call.function_id, Raw(call.data), action, access.grant.context)
    call.data = b""
    engine.router.accept(call)
    engine.call(
        middleware,
        json.encode(payload),
        answered,
        traceparent=call.traceparent,
        baggage=call.baggage,
    )
