"""Triggers of guarded sessions: a trigger must not reach what its maker may not call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Raw
from msgspec.structs import replace

from iii_engine.core.hooks import ask
from iii_engine.core.reliance import named_functions
from iii_sdk.protocol import ErrorBody, RegisterTrigger

if TYPE_CHECKING:
    from iii_engine.core.access import Access
    from iii_engine.core.engine import Engine
    from iii_engine.core.patient_call import PatientCall


def ask_for_trigger(
    engine: Engine,
    access: Access,
    message: RegisterTrigger,
    decided: Callable[[RegisterTrigger | ErrorBody], None],
) -> PatientCall | None:
    """Decide about a trigger: its type, then the hook, then the function that came out of it.

    `decided` gets the trigger in the bus's ids, or why it is refused. The result can be cancelled.
    """
    if not access.may_bind(message.trigger_type):
        decided(ErrorBody("FORBIDDEN", f"trigger type '{message.trigger_type}' not allowed"))
        return None

    def asked(answer: RegisterTrigger | ErrorBody) -> None:
        if isinstance(answer, ErrorBody):
            decided(answer)
            return
        function_id = access.names.function(answer.function_id)
        if not access.may_reach(function_id):
            text = f"function '{function_id}' is neither the worker's own nor one it may call"
            decided(ErrorBody("FORBIDDEN", text))
            return
        if (unreachable := named_out_of_reach(access, answer.config)) is not None:
            decided(unreachable)
            return
        kind = access.names.trigger_type(answer.trigger_type)
        decided(replace(answer, function_id=function_id, trigger_type=kind))

    return ask(engine, access, message, asked)


def named_out_of_reach(access: Access, config: Raw) -> ErrorBody | None:
    """Why the config may not be used: it has the engine call what its maker may not."""
    for name, function_id in named_functions(config):
        if not access.may_reach(function_id):
            text = f"$.config.{name}: function '{function_id}' is neither the worker's own nor one "
            return ErrorBody("FORBIDDEN", text + "it may call")
    return None


def drop_stranded(engine: Engine, function_id: str) -> None:
    """Remove the triggers that have come to mean somebody else's function.

    To be called when a function got a new provider: a trigger may be older than that function.
    """
    for trigger in engine.reliance.reaching(function_id):
        access = trigger.access
        if access is not None and not access.may_reach(function_id):
            text = f"function '{function_id}' belongs to another worker now"
            engine.triggers.refuse(trigger, ErrorBody("FORBIDDEN", text))
