"""Triggers, and the types of trigger that a worker owns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Raw

from iii_sdk.codec import plain_decoder
from iii_sdk.compat.handlers import Handlers
from iii_sdk.compat.messages import Model
from iii_sdk.protocol import RegisterTrigger, UnregisterTrigger
from iii_sdk.registrations import TypeHandler

if TYPE_CHECKING:
    from iii_sdk.compat.offers import FunctionRef, Offers

C = TypeVar("C")

_plain = plain_decoder()


class TriggerConfig(Model, Generic[C]):
    """A trigger that the owner of its type binds or unbinds."""

    id: str
    function_id: str
    config: C | None = None
    metadata: Any = None


class TriggerHandler(ABC, Generic[C]):
    """The owner's side of a type of trigger. Its methods run on the handlers' loop."""

    @abstractmethod
    async def register_trigger(self, config: TriggerConfig[C]) -> None:
        """Bind a trigger. Raise to refuse it."""

    @abstractmethod
    async def unregister_trigger(self, config: TriggerConfig[C]) -> None:
        """Unbind a trigger. `config` has what the engine still tells of it."""


class Trigger:
    """A registered trigger."""

    def __init__(self, trigger_id: str, unregister: Callable[[], None]) -> None:
        self.id = trigger_id
        self._unregister = unregister

    def unregister(self) -> None:
        """The event calls the function no more. Harmless when done twice."""
        self._unregister()


class TriggerTypeRef(Generic[C]):
    """A type of trigger that this worker owns."""

    def __init__(self, type_id: str, offers: Offers) -> None:
        self.id = type_id
        self._offers = offers

    def register_trigger(
        self, function_id: str, config: C | None = None, metadata: Any = None
    ) -> Trigger:
        """Register a trigger of this type."""
        return self._offers.register_trigger(self.id, function_id, config, metadata)

    def register_function(
        self,
        function_id: str,
        handler: Callable[..., Awaitable[Any] | Any],
        description: str | None = None,
    ) -> FunctionRef:
        """Register a function that triggers of this type may call; no trigger."""
        return self._offers.register_function(function_id, handler, description=description)

    def unregister(self) -> None:
        """Own the type no more."""
        self._offers.unregister_trigger_type({"id": self.id})


def type_handler(handler: TriggerHandler[Any], handlers: Handlers) -> TypeHandler:
    """The owner's side, called on the I/O loop, running on the handlers' loop."""
    unbind = getattr(handler, "unregister_trigger", None)

    async def on_bind(message: RegisterTrigger) -> None:
        await handlers.call(handler.register_trigger, _config(message))

    async def on_unbind(message: UnregisterTrigger) -> None:
        if unbind is not None:
            await handlers.call(unbind, _config(message))

    return TypeHandler(on_bind, on_unbind)


def _config(message: RegisterTrigger | UnregisterTrigger) -> TriggerConfig[Any]:
    return TriggerConfig(
        id=message.id,
        function_id=message.function_id or "",
        config=_value(message.config),
        metadata=_value(message.metadata),
    )


def _value(data: Raw) -> Any:
    return _plain(data)
