"""`engine::register_trigger` and `engine::unregister_trigger`: triggers without an owner.

They outlive the connection that made them: made for command lines and agents that connect only
for a moment.
"""

from __future__ import annotations

from msgspec import Raw, Struct, field

from iii_engine.core.engine import Engine
from iii_engine.core.sessions import Session
from iii_engine.core.triggers import Trigger
from iii_engine.modules.engine_functions.functions import visible
from iii_engine.modules.engine_functions.opaque import null
from iii_sdk.errors import BusError, Forbidden


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


def register_trigger(
    engine: Engine, request: RegisterTrigger | RegisterTriggerAlias, caller: Session | None
) -> Registered:
    """Bind a function. Raises `FORBIDDEN`, or `trigger_registration_failed` with the reason."""
    for name in ("trigger_type", "function_id"):
        if not getattr(request, name).strip():
            raise BusError(f"{name} must not be empty", code="trigger_registration_failed")
    if caller is not None and caller.access is not None:
        if not caller.access.may_bind(request.trigger_type):
            raise _forbidden(f"trigger type '{request.trigger_type}' not allowed")
        if not visible(caller, request.function_id):
            raise _forbidden(f"function '{request.function_id}' not allowed")
    trigger_id = request.id or engine.ids.uuid()
    existing = engine.triggers.get(trigger_id)
    if existing is not None and existing.owner is not None:
        raise BusError(
            f"trigger {trigger_id} belongs to a worker", code="trigger_registration_failed"
        )
    refused = engine.triggers.add(
        Trigger(
            trigger_id,
            request.trigger_type,
            request.function_id,
            request.config,
            request.metadata,
            None,
        )
    )
    if refused is not None:
        raise BusError(refused.message, code="trigger_registration_failed")
    return Registered(trigger_id)


def unregister_trigger(
    engine: Engine, request: UnregisterTrigger, caller: Session | None
) -> Removed:
    """Remove a trigger, whoever owns it. A caller under access control needs its function."""
    trigger = engine.triggers.get(request.id)
    if trigger is None or request.trigger_type not in (None, trigger.type):
        return Removed(False)
    if not visible(caller, trigger.function_id):
        raise _forbidden(f"function '{trigger.function_id}' not allowed")
    return Removed(engine.triggers.remove(request.id))


def _forbidden(message: str) -> BusError:
    return Forbidden(message, code="FORBIDDEN")
