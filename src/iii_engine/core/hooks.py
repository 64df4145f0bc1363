"""The functions that a listener asks about registrations, and what they may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct, json
from msgspec.structs import replace

from iii_engine.core.patient_call import PatientCall
from iii_sdk.protocol import (
    NULL,
    ErrorBody,
    RegisterFunction,
    RegisterTrigger,
    RegisterTriggerType,
    is_null,
)

if TYPE_CHECKING:
    from iii_engine.core.access import Access
    from iii_engine.core.engine import Engine

#: A hook that takes longer denies.
HOOK_TIMEOUT_MS: Final = 30_000

#: The registrations that hooks decide about.
R = TypeVar("R", RegisterFunction, RegisterTrigger, RegisterTriggerType)

Context: TypeAlias = dict[str, Raw]


class FunctionQuestion(Struct):
    function_id: str
    description: str | None
    metadata: Raw
    context: Context


class FunctionAnswer(Struct):
    """Null, as absent, leaves a field as it was requested; so in the other answers."""

    function_id: str | None = None
    description: str | None = None
    metadata: Raw = NULL


class TriggerQuestion(Struct):
    trigger_id: str
    trigger_type: str
    function_id: str
    config: Raw
    metadata: Raw
    context: Context


class TriggerAnswer(Struct):
    trigger_id: str | None = None
    trigger_type: str | None = None
    function_id: str | None = None
    config: Raw = NULL


class TriggerTypeQuestion(Struct):
    trigger_type_id: str
    description: str | None
    context: Context


class TriggerTypeAnswer(Struct):
    trigger_type_id: str | None = None
    description: str | None = None


def ask(
    engine: Engine, access: Access, message: R, decided: Callable[[R | ErrorBody], None]
) -> PatientCall | None:
    """Let the listener's hook decide about a registration.

    `decided` gets what to register, or why not; without a hook before this returns. The result can
    be cancelled.
    """
    rules, context = access.rules, access.grant.context
    question: Struct
    if isinstance(message, RegisterFunction):
        hook = rules.on_function
        question = FunctionQuestion(message.id, message.description, message.metadata, context)
    elif isinstance(message, RegisterTrigger):
        hook = rules.on_trigger
        question = TriggerQuestion(
            message.id,
            message.trigger_type,
            message.function_id,
            message.config,
            message.metadata,
            context,
        )
    else:
        hook = rules.on_trigger_type
        question = TriggerTypeQuestion(message.id, message.description, context)
    if hook is None:
        decided(message)
        return None

    def answered(result: Raw, error: ErrorBody | None) -> None:
        if error is not None:
            decided(ErrorBody("FORBIDDEN", error.message))
            return
        try:
            changed = _merged(message, result)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            decided(ErrorBody("FORBIDDEN", f"{hook} did not answer with an object: {wrong}"))
        else:
            decided(changed)

    call = PatientCall(engine, hook, json.encode(question), answered, HOOK_TIMEOUT_MS)
    call.start()
    return call


def _merged(message: R, result: Raw) -> R:
    """The registration with what the hook changed. Raises `msgspec.DecodeError`."""
    if isinstance(message, RegisterFunction):
        function = json.decode(result, type=FunctionAnswer)
        return replace(
            message,
            id=function.function_id or message.id,
            description=_or(function.description, message.description),
            metadata=_raw_or(function.metadata, message.metadata),
        )
    if isinstance(message, RegisterTrigger):
        trigger = json.decode(result, type=TriggerAnswer)
        return replace(
            message,
            id=trigger.trigger_id or message.id,
            trigger_type=trigger.trigger_type or message.trigger_type,
            function_id=trigger.function_id or message.function_id,
            config=_raw_or(trigger.config, message.config),
        )
    kind = json.decode(result, type=TriggerTypeAnswer)
    return replace(
        message,
        id=kind.trigger_type_id or message.id,
        description=_or(kind.description, message.description),
    )


def _or(value: str | None, otherwise: str | None) -> str | None:
    return otherwise if value is None else value


def _raw_or(value: Raw, otherwise: Raw) -> Raw:
    return otherwise if is_null(value) else value
