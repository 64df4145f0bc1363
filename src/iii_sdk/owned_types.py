"""The owner's side of trigger types: bind and unbind the triggers the engine tells of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from iii_sdk.errors import BusError
from iii_sdk.protocol import (
    ErrorBody,
    Message,
    RegisterTrigger,
    TriggerRegistrationResult,
    UnregisterTrigger,
    sendable,
)
from iii_sdk.registrations import Registrations, TypeHandler

log = logging.getLogger("iii.sdk")

Unbind = Callable[[UnregisterTrigger], Awaitable[None]]


class OwnedTypes:
    """Runs the handlers of the trigger types in `registrations`; `answer` sends a message."""

    def __init__(self, registrations: Registrations, answer: Callable[[Message], None]) -> None:
        self._registrations = registrations
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    def register(self, message: RegisterTrigger) -> None:
        """Bind a trigger and say how it went."""
        entry = self._registrations.types.get(message.trigger_type)
        result = TriggerRegistrationResult(message.id, message.trigger_type, message.function_id)
        if entry is None:
            text = f"Trigger type '{message.trigger_type}' not found"
            result.error = ErrorBody("trigger_type_not_found", text)
            self._answer(result)
        else:
            self._spawn(self._bind(entry[1], message, result))

    def unregister(self, message: UnregisterTrigger) -> None:
        """Unbind a trigger."""
        entry = self._registrations.types.get(message.trigger_type or "")
        if entry is not None and entry[1].unbind is not None:
            self._spawn(self._unbind(entry[1].unbind, message))

    def cancel(self) -> None:
        """Stop what is running."""
        for task in list(self._tasks):
            task.cancel()

    async def _bind(
        self, handler: TypeHandler, message: RegisterTrigger, result: TriggerRegistrationResult
    ) -> None:
        try:
            await handler.bind(message)
        except BusError as error:
            result.error = ErrorBody(error.code, error.message)
        except Exception as error:
            log.exception("binding a trigger of type %s failed", message.trigger_type)
            result.error = ErrorBody("trigger_registration_failed", str(error))
        if result.error is not None:
            result.error = sendable(result.error)
        self._answer(result)

    async def _unbind(self, unbind: Unbind, message: UnregisterTrigger) -> None:
        try:
            await unbind(message)
        except Exception:
            log.exception("unbinding a trigger of type %s failed", message.trigger_type)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
