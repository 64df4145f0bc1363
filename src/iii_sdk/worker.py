"""A worker: a name, the functions it offers, and the events that call them.

worker = Worker("greeter", description="Greets")

@worker.function("greeter::greet", http("POST", "/api/greet"))
async def greet(request: Greet) -> Greeting:
    "Greet somebody by name."

worker.run()
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from msgspec import Raw

from iii_sdk.address import Address, engine_url
from iii_sdk.bindings import Binding, Route
from iii_sdk.codec import encode, schema
from iii_sdk.connection import State
from iii_sdk.envelope import HttpRequest
from iii_sdk.handlers import Handler
from iii_sdk.http_function import HttpFunction
from iii_sdk.protocol import NULL, HttpInvocation, RegisterFunction, RegisterTriggerType
from iii_sdk.registrations import TypeHandler, check_text
from iii_sdk.service import Service
from iii_sdk.stream_items import StreamStore
from iii_sdk.telemetry import Settings
from iii_sdk.transport import Endpoint
from iii_sdk.websocket import WebSocketEndpoint

F = TypeVar("F", bound=Callable[..., Any])


class Function:
    """One function of a worker: its handler and what the engine is told about it."""

    def __init__(
        self,
        function_id: str,
        handler: Handler,
        bindings: tuple[Binding, ...],
        *,
        description: str | None,
        metadata: Mapping[str, object] | None,
        aliases: tuple[str, ...],
        request_format: Raw,
        response_format: Raw,
    ) -> None:
        self.id = function_id
        self.handler = handler
        self.bindings = bindings
        self.description = description
        self.metadata = dict(metadata or {})
        self.aliases = aliases
        self.request_format = request_format
        self.response_format = response_format
        self.routes = {b.route.key: b.route for b in bindings if b.route is not None}
        self._any_route = next(iter(self.routes.values()), Route("", ""))

    def ids(self) -> Iterator[tuple[str, Raw]]:
        """The id and the aliases, each with its metadata."""
        yield self.id, Raw(encode(self.metadata)) if self.metadata else NULL
        for alias in self.aliases:
            yield alias, Raw(encode({**self.metadata, "aliasOf": self.id}))

    def route(self, request: HttpRequest) -> Route:
        """The route of a request; one this worker did not declare needs the key."""
        route = self.routes.get((request.method, request.route.strip("/")))
        if route is None and request.method == "HEAD":
            route = self.routes.get(("GET", request.route.strip("/")))
        if route is not None:
            return route
        # In-process callers send `{headers, body}` and name no route.
        return self._any_route if not request.route else Route(request.method, request.route)


class Worker:
    """The declaration of a worker; making one does no I/O.

    `headers` are added to every HTTP answer, errors included. `telemetry` says what the engine is
    told of calls and process; the default is taken from the environment, `OTEL_ENABLED=false`
    switches it off. A worker may be served several
    times, at once or one after the other: each time has its own connection.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str | None = None,
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
        telemetry: Settings | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.version = version
        self.headers = dict(headers or {})
        self.telemetry = telemetry or Settings.from_environment()
        self.functions: dict[str, Function] = {}
        self.http_functions: dict[str, HttpFunction] = {}
        self.trigger_types: dict[str, tuple[RegisterTriggerType, TypeHandler]] = {}
        self._services: set[Service] = set()

    def function(
        self,
        function_id: str,
        *bindings: Binding,
        description: str | None = None,
        metadata: Mapping[str, object] | None = None,
        aliases: tuple[str, ...] = (),
        request_format: object = None,
        response_format: object = None,
    ) -> Callable[[F], F]:
        """Offer the decorated handler as a function, also while the worker is being served.

        The payload's type and the JSON Schemas come from the annotations, the description from the
        first line of the doc string; each can be given instead. Raises `ValueError` for an id that
        is empty or taken, `TypeError` for a signature that cannot be called.
        """

        def declare(handler: F) -> F:
            read = Handler(handler)
            function = Function(
                function_id,
                read,
                bindings,
                description=description or _first_line(handler),
                metadata=metadata,
                aliases=aliases,
                request_format=_format(request_format, read.request_schema),
                response_format=_format(response_format, read.response_schema),
            )
            for given_id, given_metadata in function.ids():
                check_text(
                    RegisterFunction(given_id, function.description, metadata=given_metadata)
                )
            self._add(function)
            return handler

        return declare

    def http_function(
        self,
        function_id: str,
        invocation: HttpInvocation,
        *bindings: Binding,
        description: str | None = None,
        metadata: Mapping[str, object] | None = None,
        request_format: object = None,
        response_format: object = None,
    ) -> None:
        """Offer a function that the engine requests from an HTTP endpoint, also while serving.

        The engine must have the module `iii-http-functions`. Raises `ValueError` for an id that is
        empty or taken, and for a route that is not public: keys are checked where a handler runs.
        """
        self._check((function_id,))
        if any(b.route is not None and b.route.auth != "none" for b in bindings):
            raise ValueError(f"function '{function_id}' has no handler that could check a key")
        message = RegisterFunction(
            function_id,
            description,
            _format(request_format, NULL),
            _format(response_format, NULL),
            Raw(encode(dict(metadata))) if metadata else NULL,
            invocation,
        )
        check_text(message)
        function = self.http_functions[function_id] = HttpFunction(message, bindings)
        for service in self._services:
            service.add_http(function)

    def stream(self, name: str, store: StreamStore) -> None:
        """Keep the items of a stream; raises `ValueError` when this worker does so already."""
        for function_id, operation in store.functions(name).items():
            self.function(function_id)(operation)

    def _add(self, function: Function) -> None:
        self._check((function.id, *function.aliases))
        self.functions[function.id] = function
        for service in self._services:
            service.add(function)

    def _check(self, function_ids: tuple[str, ...]) -> None:
        taken = {i for f in self.functions.values() for i in (f.id, *f.aliases)}
        for function_id in function_ids:
            if not function_id.strip():
                raise ValueError("id is required")
            if function_id in taken or function_id in self.http_functions:
                raise ValueError(f"function id '{function_id}' already registered")

    def remove(self, function_id: str) -> None:
        """Withdraw a function, also while the worker is being served. Unknown ids are ignored."""
        function = self.functions.pop(function_id, None) or self.http_functions.pop(
            function_id, None
        )
        if function is not None:
            for service in self._services:
                service.remove(function)

    def trigger_type(
        self,
        type_id: str,
        handler: TypeHandler,
        *,
        description: str = "",
        config: Any = None,
        payload: Any = None,
    ) -> None:
        """Own a trigger type. `config` and `payload` are the types their JSON Schemas come from."""
        message = RegisterTriggerType(type_id, description, schema(config), schema(payload))
        check_text(message)
        self.trigger_types[type_id] = (message, handler)
        for service in self._services:
            service.registrations.add_type(message, handler)

    # -- serving ---------------------------------------------------------------------------------

    async def serve(
        self,
        url: str | None = None,
        *,
        ready: asyncio.Event | Callable[[], None] | None = None,
    ) -> None:
        """Serve until `stop` or cancellation.

        `url` defaults to `$III_URL`, `$III_WS_URL`, `$III_ENGINE_URL`, `ws://localhost:49134`.
        `ready` is set or called once the engine has everything this worker registers.
        """
        await self.attach(WebSocketEndpoint(Address(engine_url(url))), ready=ready)

    async def attach(
        self,
        endpoint: Endpoint,
        *,
        ready: asyncio.Event | Callable[[], None] | None = None,
    ) -> None:
        """As `serve`, on any kind of connection, for example to an engine in this process."""
        service = Service(self, endpoint)
        self._services.add(service)
        announce = asyncio.create_task(_announce(service, ready))
        try:
            await service.connection.run()
        finally:
            announce.cancel()
            self._services.discard(service)
            await service.close()

    async def stop(self, drain: float = 10.0) -> None:
        """Take no more calls, let running ones finish for at most `drain` seconds, disconnect."""
        await asyncio.gather(*(service.stop(drain) for service in list(self._services)))

    def run(self, url: str | None = None) -> None:
        """Serve in this process until SIGTERM or SIGINT."""
        from iii_sdk.program import run

        run(self, url=url)


async def _announce(service: Service, ready: asyncio.Event | Callable[[], None] | None) -> None:
    if ready is None:
        return
    connection = service.connection
    while not (connection.state is State.CONNECTED and await connection.settled()):
        await connection.changed()
    if isinstance(ready, asyncio.Event):
        ready.set()
    else:
        ready()


def _first_line(handler: Callable[..., Any]) -> str | None:
    text = inspect.getdoc(handler)
    return text.strip().splitlines()[0] if text and text.strip() else None


def _format(given: object, read: Raw) -> Raw:
    return read if given is None else Raw(encode(given))
