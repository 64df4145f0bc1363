"""The client in its two published forms."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from iii_sdk.compat import lifetime
from iii_sdk.compat.caller import Caller
from iii_sdk.compat.discovery import HIDDEN, FunctionInfo, functions
from iii_sdk.compat.handlers import Handlers
from iii_sdk.compat.link import ConnectionState, Link
from iii_sdk.compat.listeners import Listeners
from iii_sdk.compat.offers import Offers, first_line
from iii_sdk.compat.options import InitOptions, OtelConfig, ReconnectionConfig
from iii_sdk.compat.requests import Requests
from iii_sdk.compat.results import PendingCall, completed
from iii_sdk.compat.streams import IStream, stream_functions
from iii_sdk.compat.threads import Pool
from iii_sdk.telemetry import Exporter

F = TypeVar("F", bound=Callable[..., Any])

#: Seconds that `register_worker` waits for the connection.
CONNECT_SECONDS = 30.0
#: Seconds that handlers get to end at shutdown, after they were cancelled.
HANDLER_SECONDS = 1.5


class III(Caller, Offers):
    """A worker and a client of the bus, for programs with or without an event loop.

    Making one starts to connect in the background and returns at once, whether there is an engine
    or not; everything registered is told to every engine it connects to. The process stays alive
    until `shutdown`, Ctrl-C, `sys.exit` or SIGTERM.

    The decorator form, with calls that are awaited on any event loop:

    >>> iii = III(worker_name="shop")
    >>> @iii.function(id="shop::price", description="What it costs")
    ... async def price(data):
    ...     return {"price": 3 * data["count"]}
    >>> async def main():
    ...     print(await iii.trigger("shop::price", {"count": 2}))
    ...     await iii.shutdown()
    >>> asyncio.run(main())
    {'price': 6}

    The form of `register_worker`, which waits for the connection, with calls that block:

    >>> iii = register_worker(options=InitOptions(worker_name="greeter"))
    >>> def greet(data):
    ...     return {"message": f"Hello, {data['name']}!"}
    >>> greeting = iii.register_function("greeter::greet", greet)
    >>> iii.trigger({"function_id": "greeter::greet", "payload": {"name": "Ada"}})
    {'message': 'Hello, Ada!'}
    >>> greeting.unregister()
    >>> _ = iii.shutdown()

    Async handlers run on one loop of their own, plain functions on threads; neither can block the
    connection. The address is the one given, else `$III_URL`, else `ws://localhost:49134`; the name
    is the one given, else `$III_WORKER_NAME`, else `<host>:<pid>`; `$III_TOKEN` is sent as a bearer
    token. Keyword arguments win over `options`.

    The engine is told of the spans of handlers, the records of `Logger` and what the process uses;
    `otel={"enabled": False}` or `$OTEL_ENABLED=false` switches that off.
    """

    def __init__(
        self,
        address: str | None = None,
        options: InitOptions | None = None,
        *,
        worker_name: str | None = None,
        invocation_timeout_ms: int | None = None,
        headers: Mapping[str, str] | None = None,
        otel: OtelConfig | Mapping[str, Any] | None = None,
        reconnection_config: ReconnectionConfig | Mapping[str, Any] | None = None,
        description: str | None = None,
    ) -> None:
        """Raises `ValueError` and `TypeError` for wrong options, never for the engine's state."""
        self._options = (options or InitOptions()).with_given(
            worker_name=worker_name,
            invocation_timeout_ms=invocation_timeout_ms,
            headers=headers,
            otel=otel,
            reconnection_config=reconnection_config,
            description=description,
        )
        pool = Pool(self._options.max_sync_handlers, "iii-sync")
        link = Link(address, self._options, pool)
        timeout_ms = self._options.invocation_timeout_ms
        Caller.__init__(self, link, Requests(link, timeout_ms, self.may_block))
        self._handlers = Handlers(self, link, pool)
        Offers.__init__(self, link, self._handlers)
        self._listeners = Listeners(self._handlers)
        self._link.on_state = self._listeners.tell
        self._shutdown: PendingCall[None] | None = None
        self._guard = threading.Lock()
        lifetime.opened(self)

    # -- connection ------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """The engine's address."""
        return self._link.address

    def get_address(self) -> str:
        """As `address`, in the words of the newer generation."""
        return self.address

    @property
    def worker_name(self) -> str:
        """The name the engine knows this worker by."""
        return self._link.metadata.name or ""

    @property
    def worker_id(self) -> str | None:
        """The engine's id of this connection; None before the first one."""
        return self._link.worker_id

    @property
    def telemetry(self) -> Exporter | None:
        """What tells the engine of spans and logs; None while there is none."""
        return self._link.telemetry

    def get_connection_state(self) -> ConnectionState:
        return self._link.state

    def on_connection_state(
        self, callback: Callable[[ConnectionState], object]
    ) -> Callable[[], None]:
        """Call this with every new state, on the handlers' loop. Returns what undoes it."""
        return self._listeners.add(callback)

    def add_connection_state_listener(
        self, handler: Callable[[ConnectionState], object]
    ) -> Callable[[], None]:
        """As `on_connection_state`, after a call with the present state, on this thread."""
        remove = self.on_connection_state(handler)
        handler(self.get_connection_state())
        return remove

    def wait_connected(self, timeout: float | None = CONNECT_SECONDS) -> bool:
        """Wait for the connection; False when there is none after `timeout` seconds.

        Raises `ConnectionError` when the retries of `reconnection_config` are used up.
        """
        return self._link.wait_connected(timeout)

    async def connect_async(self) -> None:
        """Wait for the connection, as `wait_connected`, on an event loop."""
        future = self._handlers.pool.submit(self._link.wait_connected, CONNECT_SECONDS)
        await PendingCall(future)

    def may_block(self) -> bool:
        """Whether the current thread may wait for a call: not on an event loop of the SDK."""
        return not (self._link.io.is_current or self._handlers.loop.is_current)

    # -- offers ----------------------------------------------------------------------------------

    def function(
        self,
        id: str | None = None,
        *,
        description: str | None = None,
        metadata: Any = None,
        request_format: Any = None,
        response_format: Any = None,
    ) -> Callable[[F], F]:
        """Offer the decorated function, which stays as it is.

        The description defaults to the first line of its doc string, the formats to its
        annotations. Raises `ValueError` for an id that is missing or taken.
        """
        if not isinstance(id, str) or not id.strip():
            raise ValueError("id is required")

        def register(handler: F) -> F:
            self.register_function(
                id,
                handler,
                description=description or first_line(handler),
                metadata=metadata,
                request_format=request_format,
                response_format=response_format,
            )
            return handler

        return register

    def create_stream(self, stream_name: str, stream: IStream[Any]) -> None:
        """Keep the items of a stream in this worker. Raises `ValueError` when it does already."""
        for function_id, handler in stream_functions(stream_name, stream).items():
            self.register_function(function_id, handler)

    # -- what is there ---------------------------------------------------------------------------

    def on_functions_available(
        self, callback: Callable[[list[FunctionInfo]], Any]
    ) -> Callable[[], None]:
        """Call this with all functions whenever they change. Returns what undoes it."""
        read = functions()
        function_id = f"{HIDDEN}{uuid.uuid4()}"

        async def changed(data: Any) -> None:
            await self._handlers.call_anywhere(callback, read(data))

        function = self.register_function(function_id, changed, metadata={"internal": True})
        trigger = self.register_trigger("engine::functions-available", function_id)

        def unsubscribe() -> None:
            trigger.unregister()
            function.unregister()

        return unsubscribe

    # -- the end ---------------------------------------------------------------------------------

    def shutdown(self) -> PendingCall[None]:
        """End for good: pending calls fail with `SHUTDOWN`, the connection closes, threads stop.

        `iii.shutdown()` and `await iii.shutdown()` are both right, on any thread; running handlers
        get `drain_ms` to finish. Blocks until it is done, except on an event loop of the SDK.
        Harmless when done twice.
        """
        with self._guard:
            first = self._shutdown is None
            done: Future[None] = Future()
            end = self._shutdown = self._shutdown or PendingCall(done, self.may_block)
        if first:
            thread = threading.Thread(
                target=partial(self._close, done), name="iii-shutdown", daemon=True
            )
            thread.start()
        if self.may_block():
            end.result()
            return completed(None)
        return end

    async def shutdown_async(self) -> None:
        """As `shutdown`."""
        await self.shutdown()

    def _close(self, done: Future[None]) -> None:
        try:
            self._link.refuse_calls()
            self._handlers.drain(self._options.drain_ms / 1000)
            self._link.close()
            self._handlers.loop.stop(HANDLER_SECONDS)
            self._handlers.pool.shutdown()
        finally:
            lifetime.closed(self)
            done.set_result(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()


def register_worker(address: str | None = None, options: InitOptions | None = None) -> III:
    """Make an instance and wait at most 30 seconds for its connection.

    Returns without one when the engine is down: it goes on trying. Raises `ConnectionError` when
    the retries of `reconnection_config` are used up.
    """
    iii = III(address, options)
    try:
        iii.wait_connected()
    except ConnectionError:
        iii.shutdown()
        raise
    return iii
