"""A worker being served: its connection, its running calls, its graceful end."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from iii_sdk.bus import Bus
from iii_sdk.call import Call
from iii_sdk.codec import dump
from iii_sdk.connection import Connection
from iii_sdk.current_call import enter
from iii_sdk.envelope import read_envelope
from iii_sdk.errors import BusError
from iii_sdk.exchange import Exchange
from iii_sdk.metadata import worker_metadata
from iii_sdk.protocol import (
    ErrorBody,
    InvokeFunction,
    RegisterFunction,
    UnregisterFunction,
    UnregisterTrigger,
)
from iii_sdk.streams import EventStream, Response

if TYPE_CHECKING:
    from iii_sdk.http_function import HttpFunction
    from iii_sdk.transport import Endpoint
    from iii_sdk.worker import Function, Worker

log = logging.getLogger("iii.sdk")

#: Seconds that running calls get to finish when the worker stops.
DRAIN_SECONDS: Final = 10.0
#: Threads for handlers that are plain functions.
SYNC_HANDLERS: Final = 64


class Service:
    """One worker on one engine."""

    def __init__(self, worker: Worker, endpoint: Endpoint) -> None:
        self.worker = worker
        metadata = worker_metadata(
            worker.name, version=worker.version, description=worker.description
        )
        self.connection = Connection(endpoint, metadata)
        self.registrations = self.connection.registrations
        self.bus = Bus(self.connection, worker.name)
        self._telemetry = self.connection.observe(worker.telemetry, worker.name)
        self._running: dict[asyncio.Task[None], None] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._loop = asyncio.get_running_loop()
        for kind, handler in worker.trigger_types.values():
            self.registrations.add_type(kind, handler)
        for function in worker.functions.values():
            self.add(function)
        for remote in worker.http_functions.values():
            self.add_http(remote)

    def add(self, function: Function) -> None:
        """Offer a function and its aliases, and bind its triggers."""
        for function_id, metadata in function.ids():
            self.registrations.add_function(
                RegisterFunction(
                    function_id,
                    function.description,
                    function.request_format,
                    function.response_format,
                    metadata,
                ),
                lambda message, epoch: self._start(function, message, epoch),
            )
        for binding in function.bindings:
            self.bus.bind(function.id, binding)

    def add_http(self, function: HttpFunction) -> None:
        """Offer a function that the engine requests elsewhere, and bind its triggers."""
        self.registrations.add_function(function.message, None)
        for binding in function.bindings:
            self.bus.bind(function.id, binding)

    def remove(self, function: Function | HttpFunction) -> None:
        """Withdraw a function with its aliases and triggers; running calls complete."""
        triggers = self.registrations.triggers
        for trigger_id in [i for i, (t, _) in triggers.items() if t.function_id == function.id]:
            self.registrations.remove_trigger(trigger_id)
        for function_id, _ in function.ids():
            self.registrations.remove_function(function_id)

    async def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Take no more calls, let the running ones finish, close."""
        self._withdraw()
        deadline = self._loop.time() + drain
        await self.connection.settled(min(drain, 2.0))
        if self._running:
            await asyncio.wait(list(self._running), timeout=deadline - self._loop.time())
        await self.close()

    def _withdraw(self) -> None:
        """Have the engine send no more calls. Those already on their way are still handled, so the
        functions stay known here."""
        for trigger, _ in self.registrations.triggers.values():
            self.registrations.announce(UnregisterTrigger(trigger.id, trigger.trigger_type))
        for function_id in self.registrations.functions:
            self.registrations.announce(UnregisterFunction(function_id))

    async def close(self) -> None:
        """Cancel what is running and close."""
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=1.0)
        await self.connection.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    # -- calls -----------------------------------------------------------------------------------

    def _start(self, function: Function, message: InvokeFunction, epoch: int) -> None:
        task = self._loop.create_task(self._handle(function, message, epoch))
        self._running[task] = None
        task.add_done_callback(self._running.pop)

    async def _handle(self, function: Function, message: InvokeFunction, epoch: int) -> None:
        call = Call(message)
        if self._telemetry is not None:
            call.begin()
        failure: str | None = None
        enter(call)
        try:
            if function.routes and (
                envelope := read_envelope(message.data, function.handler.payload)
            ):
                exchange = Exchange(function, envelope, call, self)
                answer = await exchange.answer()
            else:
                answer = dump(await self._result(function, message, call))
        except asyncio.CancelledError:
            failure = "invocation_stopped"
            error = ErrorBody(failure, "the worker is shutting down")
            self.connection.refuse(message, epoch, error)
            raise
        except BusError as error:
            failure = f"{error.code}: {error.message}"
            body = ErrorBody(
                error.code, error.message, retry_after=error.retry_after, details=error.details
            )
            self.connection.refuse(message, epoch, body)
        except BaseException as error:
            failure = _text(error)
            if call.span is not None:
                call.span.caught(error)
            log.exception("%s failed", message.function_id)
            self.connection.refuse(message, epoch, ErrorBody("invocation_failed", _text(error)))
            if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
                raise  # it ends the program, which says goodbye to its callers first
        else:
            self.connection.answer(message, epoch, answer)
        finally:
            if self._telemetry is not None and (span := call.end(failure)) is not None:
                self._telemetry.span(span)

    async def _result(self, function: Function, message: InvokeFunction, call: Call) -> Any:
        payload = function.handler.payload
        value = None if payload is None else payload.read(message.data)
        result = await self.invoke(function, value, call)
        if isinstance(result, Response):
            return result.body
        if isinstance(result, EventStream):
            return await result.collect()
        return result

    async def invoke(self, function: Function, value: Any, call: Call) -> Any:
        """Run the handler with a payload that has been read."""
        return await function.handler.invoke(value, self.bus, call, self._threads)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(SYNC_HANDLERS, f"iii-{self.worker.name}")
        return self._pool


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
