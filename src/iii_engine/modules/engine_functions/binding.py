"""`engine::register_trigger` and `engine::unregister_trigger`: triggers without an owner.

They outlive the connection that made them: made for command lines and agents that connect only
for a moment.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw, Struct, field
from msgspec.json import encode

from iii_engine.core.access import Access
from iii_engine.core.engine import Engine
from iii_engine.core.guarded_triggers import ask_for_trigger
from iii_engine.core.router import Call
from iii_engine.core.sessions import Session
from iii_engine.core.triggers import Trigger
from iii_engine.modules.base import read
from iii_engine.modules.engine_functions.opaque import null
from iii_sdk import protocol
from iii_sdk.errors import BusError, Forbidden
from iii_sdk.protocol import ErrorBody


class RegisterTrigger(Struct):
    """`id` is made when it is absent; an existing trigger of that id is replaced."""

    trigger_type: str
    function_id: str
    config: Raw = field(default_factory=null)
    metadata: Raw = field(default_factory=null)
    id: str | None = None


class RegisterTriggerAlias(Struct):
    """The same with the field names of the `engine::triggers::register` dialect."""

    trigger_type: str = field(name="type")
    function_id: str = field(name="function")
    config: Raw = field(default_factory=null)
    metadata: Raw = field(default_factory=null)
    id: str | None = None


class Registered(Struct):
    id: str


class UnregisterTrigger(Struct):
    """With `trigger_type` the trigger is removed only if it is of that type."""

    id: str
    trigger_type: str | None = None


class Removed(Struct):
    removed: bool


def registering(
    engine: Engine, kind: type[RegisterTrigger] | type[RegisterTriggerAlias]
) -> Callable[[Call], None]:
    """A handler that binds a function, for a guarded caller after what a registration passes.

    Fails with `FORBIDDEN`, with `registration_limit`, or with `trigger_registration_failed` and the
    reason.
    """

    def handler(call: Call) -> None:
        try:
            message = _message(engine, read(call, kind))
        except BusError as error:
            call.fail(error.code, error.message)
            return
        access = None if call.caller is None else call.caller.access

        def decided(answer: protocol.RegisterTrigger | ErrorBody) -> None:
            if isinstance(answer, ErrorBody):
                call.fail(answer.code, answer.message)
            else:
                _bind(engine, call, answer, access)

        if access is None:
            decided(message)
        else:
            ask_for_trigger(engine, access, message, decided)

    return handler


def _message(
    engine: Engine, request: RegisterTrigger | RegisterTriggerAlias
) -> protocol.RegisterTrigger:
    for name in ("trigger_type", "function_id"):
        if not getattr(request, name).strip():
            raise BusError(f"{name} must not be empty", code="trigger_registration_failed")
    return protocol.RegisterTrigger(
        request.id or engine.ids.uuid(),
        request.trigger_type,
        request.function_id,
        request.config,
        request.metadata,
    )


def _bind(
    engine: Engine, call: Call, message: protocol.RegisterTrigger, access: Access | None
) -> None:
    existing = engine.triggers.get(message.id)
    if existing is not None and existing.owner is not None:
        text = f"trigger {message.id} belongs to a worker"
        call.fail("trigger_registration_failed", text)
        return
    if existing is not None and access is not None and not access.may_change(existing.maker):
        call.fail("FORBIDDEN", f"trigger '{message.id}' was made by another worker")
        return
    refused = engine.triggers.add(Trigger.of(message, None, maker=access), call.caller)
    if refused is None:
        call.reply(encode(Registered(message.id)))
    elif refused.code in ("registration_limit", "FORBIDDEN"):
        call.fail(refused.code, refused.message)
    else:
        call.fail("trigger_registration_failed", refused.message)


def unregister_trigger(
    engine: Engine, request: UnregisterTrigger, caller: Session | None
) -> Removed:
    """Remove a trigger, whoever owns it.

    A caller under access control removes only what its party made. Raises `FORBIDDEN`.
    """
    trigger = engine.triggers.get(request.id)
    if trigger is None or request.trigger_type not in (None, trigger.type):
        return Removed(False)
    access = None if caller is None else caller.access
    if access is not None and not access.may_change(trigger.access):
        raise _forbidden(f"trigger '{trigger.id}' was made by another worker")
    return Removed(engine.triggers.remove(request.id))


def _forbidden(message: str) -> BusError:
    return Forbidden(message, code="FORBIDDEN")
