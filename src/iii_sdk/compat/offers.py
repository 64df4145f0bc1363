"""What an instance offers: functions, triggers, types of trigger, services, streams."""

from __future__ import annotations

import inspect
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from iii_sdk.compat.channels import channel_maker
from iii_sdk.compat.formats import extract_request_format, extract_response_format, given_format
from iii_sdk.compat.handlers import Handlers
from iii_sdk.compat.link import Link
from iii_sdk.compat.messages import (
    HttpInvocationConfig,
    RegisterServiceInput,
    RegisterTriggerInput,
    RegisterTriggerTypeInput,
    built,
)
from iii_sdk.compat.results import raw
from iii_sdk.compat.signatures import Handler
from iii_sdk.compat.triggers import Trigger, TriggerHandler, TriggerTypeRef, type_handler
from iii_sdk.protocol import (
    NULL,
    HttpInvocation,
    InvokeFunction,
    RegisterFunction,
    RegisterService,
    RegisterTrigger,
    RegisterTriggerType,
)
from iii_sdk.registrations import OnInvoke, check_text


class FunctionRef:
    """A registered function."""

    def __init__(self, function_id: str, unregister: Callable[[], None]) -> None:
        self.id = function_id
        self._unregister = unregister

    def unregister(self) -> None:
        """Withdraw the function; running calls complete. Harmless when done twice."""
        self._unregister()


class Offers:
    """The half of the client that registers, from any thread; replayed on every connection."""

    def __init__(self, link: Link, handlers: Handlers) -> None:
        self._link = link
        self._handlers = handlers
        self._channels = channel_maker(link)
        self._functions: dict[str, object] = {}
        self._registering = threading.Lock()

    def register_function(
        self,
        function_id: str,
        handler: Callable[..., Any] | HttpInvocationConfig,
        *,
        description: str | None = None,
        metadata: Any = None,
        request_format: Any = None,
        response_format: Any = None,
    ) -> FunctionRef:
        """Offer a handler, or a function that the engine calls over HTTP.

        Raises `TypeError` for a wrong kind of argument, `ValueError` for an id that is empty or
        taken. What is refused changes nothing.
        """
        if not isinstance(function_id, str):
            raise TypeError(f"function_id must be str, got {type(function_id).__name__}")
        if not function_id.strip():
            raise ValueError("id is required")
        message = RegisterFunction(function_id, description, metadata=_opaque(metadata))
        on_invoke: OnInvoke | None = None
        if isinstance(handler, HttpInvocationConfig):
            message.invocation = msgspec.convert(handler.model_dump(), HttpInvocation)
        elif callable(handler):
            on_invoke = self._starter(Handler(function_id, handler, self._channels))
            if request_format is None:
                request_format = extract_request_format(handler)
            if response_format is None:
                response_format = extract_response_format(handler)
        else:
            raise TypeError(
                f"handler must be callable or HttpInvocationConfig, got {type(handler).__name__}"
            )
        message.request_format = _opaque(given_format(request_format))
        message.response_format = _opaque(given_format(response_format))
        return self._add(message, on_invoke)

    def _starter(self, handler: Handler) -> OnInvoke:
        def start(message: InvokeFunction, epoch: int) -> None:
            self._handlers.start(handler, message, epoch)

        return start

    def _add(self, message: RegisterFunction, on_invoke: OnInvoke | None) -> FunctionRef:
        self._link.check_process()
        check_text(message)
        with self._registering:
            if message.id in self._functions:
                raise ValueError(f"function id '{message.id}' already registered")
            self._functions[message.id] = message
            self._link.register(lambda all: all.add_function(message, on_invoke))

        def unregister() -> None:
            with self._registering:
                if self._functions.get(message.id) is message:
                    del self._functions[message.id]
                    self._link.register(lambda all: all.remove_function(message.id))

        return FunctionRef(message.id, unregister)

    def register_trigger(
        self,
        type: str | RegisterTriggerInput | Mapping[str, Any],
        function_id: str | None = None,
        config: Any = None,
        metadata: Any = None,
    ) -> Trigger:
        """Have an event call a function: `register_trigger({"type": …, "function_id": …,
        "config": …})` or `register_trigger(type, function_id, config)`."""
        if isinstance(type, str):
            if function_id is None:
                raise TypeError("function_id is required")
            type = RegisterTriggerInput(
                type=type, function_id=function_id, config=config, metadata=metadata
            )
        given = built(RegisterTriggerInput, type, "trigger")
        message = RegisterTrigger(
            str(uuid.uuid4()),
            given.type,
            given.function_id,
            _opaque(given.config),
            _opaque(given.metadata),
        )
        check_text(message)
        self._link.register(lambda all: all.add_trigger(message))
        return Trigger(
            message.id, lambda: self._link.register(lambda all: all.remove_trigger(message.id))
        )

    def register_trigger_type(
        self,
        trigger_type: RegisterTriggerTypeInput | Mapping[str, Any],
        handler: TriggerHandler[Any],
    ) -> TriggerTypeRef[Any]:
        """Own a type of trigger: the handler binds and unbinds its triggers.

        A type of the same id is replaced.
        """
        given = built(RegisterTriggerTypeInput, trigger_type, "trigger_type")
        message = RegisterTriggerType(
            given.id,
            given.description,
            _opaque(given_format(given.trigger_request_format)),
            _opaque(given_format(given.call_request_format)),
        )
        owner = type_handler(handler, self._handlers)
        check_text(message)
        self._link.register(lambda all: all.add_type(message, owner))
        return TriggerTypeRef(given.id, self)

    def unregister_trigger_type(
        self, trigger_type: RegisterTriggerTypeInput | Mapping[str, Any]
    ) -> None:
        """Own a type of trigger no more. Unknown ids are ignored."""
        type_id = built(RegisterTriggerTypeInput, trigger_type, "trigger_type").id
        self._link.register(lambda all: all.remove_type(type_id))

    def register_service(self, service: RegisterServiceInput | Mapping[str, Any]) -> None:
        """Tell the engine of a group of functions. A service of the same id is replaced."""
        given = built(RegisterServiceInput, service, "service")
        message = RegisterService(
            given.id, given.name or given.id, given.description, given.parent_service_id
        )
        check_text(message)
        self._link.register(lambda all: all.add_service(message))


def first_line(handler: Callable[..., Any]) -> str | None:
    """The first line of a handler's doc string."""
    text = inspect.getdoc(handler)
    return text.strip().splitlines()[0] if text and text.strip() else None


def _opaque(value: Any) -> Raw:
    return NULL if value is None else raw(value)
