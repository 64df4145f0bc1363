"""What this end offers. It is the source of truth: all of it is replayed on every connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from iii_sdk import frames, protocol
from iii_sdk.codec import encode
from iii_sdk.protocol import (
    ErrorBody,
    InvokeFunction,
    Message,
    RegisterFunction,
    RegisterService,
    RegisterTrigger,
    RegisterTriggerType,
    UnregisterFunction,
    UnregisterTrigger,
    UnregisterTriggerType,
    WorkerMetadata,
)

#: Starts to handle a call and returns at once. The second argument is the epoch of the connection
#: the call came on; the answer goes through `Connection.answer` or `refuse` with it.
OnInvoke: TypeAlias = Callable[[InvokeFunction, int], None]
#: Told that a registration of a trigger failed.
OnTriggerError: TypeAlias = Callable[[ErrorBody], None]


@dataclass
class TypeHandler:
    """The owner's side of a trigger type. `bind` raises to refuse a trigger."""

    bind: Callable[[RegisterTrigger], Awaitable[None]]
    unbind: Callable[[UnregisterTrigger], Awaitable[None]] | None = None


class Registrations:
    """Functions, trigger types, services and triggers by id.

    `announce` tells the engine of a change at once; a connection sets it.
    """

    def __init__(self) -> None:
        self.functions: dict[str, tuple[RegisterFunction, OnInvoke | None]] = {}
        self.types: dict[str, tuple[RegisterTriggerType, TypeHandler]] = {}
        self.services: dict[str, RegisterService] = {}
        self.triggers: dict[str, tuple[RegisterTrigger, OnTriggerError | None]] = {}
        self.announce: Callable[[Message], None] = _tell_nobody

    def add_function(self, message: RegisterFunction, on_invoke: OnInvoke | None) -> None:
        """Raises `ValueError` for an empty id, for one that is taken and for one that is no text.

        `on_invoke` is None for a function that the engine invokes over HTTP.
        """
        if not message.id.strip():
            raise ValueError("id is required")
        if message.id in self.functions:
            raise ValueError(f"function id '{message.id}' already registered")
        check_text(message)
        self.functions[message.id] = (message, on_invoke)
        self.announce(message)

    def remove_function(self, function_id: str) -> None:
        """Running calls complete. Unknown ids are ignored, here and below."""
        if self.functions.pop(function_id, None) is not None:
            self.announce(UnregisterFunction(function_id))

    def add_trigger(self, message: RegisterTrigger, on_error: OnTriggerError | None = None) -> None:
        """A trigger of the same id is replaced. Raises `ValueError` for what is no text, as do
        the others."""
        check_text(message)
        self.triggers[message.id] = (message, on_error)
        self.announce(message)

    def remove_trigger(self, trigger_id: str) -> None:
        entry = self.triggers.pop(trigger_id, None)
        if entry is not None:
            self.announce(UnregisterTrigger(trigger_id, entry[0].trigger_type))

    def add_type(self, message: RegisterTriggerType, handler: TypeHandler) -> None:
        """A type of the same id is replaced."""
        check_text(message)
        self.types[message.id] = (message, handler)
        self.announce(message)

    def remove_type(self, type_id: str) -> None:
        if self.types.pop(type_id, None) is not None:
            self.announce(UnregisterTriggerType(type_id))

    def add_service(self, message: RegisterService) -> None:
        """A service of the same id is replaced."""
        check_text(message)
        self.services[message.id] = message
        self.announce(message)

    def frames(self) -> Iterator[bytes]:
        """Every registration as a frame, in the order that published clients use."""
        for kind, _ in self.types.values():
            yield protocol.encode(kind)
        for service in self.services.values():
            yield protocol.encode(service)
        for function, _ in self.functions.values():
            yield protocol.encode(function)
        for trigger, _ in self.triggers.values():
            yield protocol.encode(trigger)


def check_text(offered: Message | WorkerMetadata) -> None:
    """Raises `ValueError` when a text in it has a lone surrogate: no connection could say it."""
    try:
        encode(offered)
    except UnicodeEncodeError as error:
        text = ascii(error.object)[: frames.MAX_QUOTED]
        raise ValueError(f"{text} has a lone surrogate, which is no text") from None


def _tell_nobody(message: Message) -> None:
    pass
