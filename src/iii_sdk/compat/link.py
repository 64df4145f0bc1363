"""The connection of an instance, on a thread of its own, for callers on any thread."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar
from weakref import WeakSet

from msgspec import Raw

from iii_sdk.address import Address, engine_url, token_headers
from iii_sdk.backoff import Backoff
from iii_sdk.codec import plain_decoder
from iii_sdk.compat.errors import IIIInvocationError, published
from iii_sdk.compat.options import InitOptions, LimitedBackoff
from iii_sdk.compat.threads import LoopThread, Pool
from iii_sdk.connection import Connection, State
from iii_sdk.errors import BusError
from iii_sdk.masking import masked
from iii_sdk.metadata import worker_metadata
from iii_sdk.protocol import ChannelRef, WorkerMetadata
from iii_sdk.registrations import Registrations, check_text
from iii_sdk.telemetry import Exporter
from iii_sdk.transport import Receiver, Transport
from iii_sdk.websocket import WebSocketEndpoint

log = logging.getLogger("iii.sdk")

T = TypeVar("T")

ConnectionState: TypeAlias = Literal[
    "disconnected", "connecting", "connected", "reconnecting", "failed"
]

#: Seconds that closing the socket may take.
CLOSE_SECONDS = 3.0
#: Seconds of these that channels get.
CHANNEL_SECONDS = 0.5

_plain = plain_decoder()


class Endpoint(WebSocketEndpoint):
    """The engine; remembers the channels that are open, to close what the program left so."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._channels: WeakSet[Transport] = WeakSet()

    async def open_channel(self, ref: ChannelRef, receiver: Receiver) -> Transport:
        transport = await super().open_channel(ref, receiver)
        self._channels.add(transport)
        return transport

    async def close_channels(self) -> None:
        """Close all of them; what their peers do not read in time is lost."""
        ends = []
        for transport in list(self._channels):
            transport.close(1001)
            ends.append(asyncio.ensure_future(transport.wait_closed()))
        if ends:
            await asyncio.wait(ends, timeout=CHANNEL_SECONDS)
        late = list(self._channels)
        for transport in late:
            transport.abort()
        if late:  # the loop ends next, and must have closed their sockets by then
            await asyncio.wait(
                [asyncio.ensure_future(t.wait_closed()) for t in late], timeout=CHANNEL_SECONDS
            )


class Link:
    """Requests, void calls and registrations from any thread, in the order they were made.

    Making one starts to connect and returns at once.
    """

    def __init__(self, address: str | None, options: InitOptions, pool: Pool) -> None:
        self.address = engine_url(address)
        self._endpoint = Endpoint(
            Address(self.address, {**token_headers(), **(options.headers or {})})
        )
        self.metadata = _metadata(options)
        check_text(self.metadata)
        self.registrations = Registrations()
        self.state: ConnectionState = "disconnected"
        #: Told of every change of `state`, on the I/O thread.
        self.on_state: Callable[[ConnectionState], None] = lambda state: None
        backoff = LimitedBackoff.of(options.reconnection, self._give_up)
        self._observed = options.observed
        #: What tells the engine of spans and logs; None until the thread runs, or for good.
        self.telemetry: Exporter | None = None
        self._pid = os.getpid()
        self._settled = threading.Event()
        self._refusing = False
        self._connection: Connection | None = None
        self.io = LoopThread("iii-io", pool)
        self.io.post(partial(self._open, backoff))

    @property
    def worker_id(self) -> str | None:
        """The engine's id of this connection; None before the first one."""
        return None if self._connection is None else self._connection.worker_id

    @property
    def connection(self) -> Connection:
        """For use on the I/O thread only."""
        assert self._connection is not None
        return self._connection

    def wait_connected(self, timeout: float | None) -> bool:
        """Wait for the connection; False when there is none after `timeout` seconds.

        Raises `ConnectionError` when the retries are used up.
        """
        self._settled.wait(timeout)
        if self.state == "failed":
            raise ConnectionError(f"gave up connecting to {masked(self.address)}")
        return self.state == "connected"

    # -- from any thread -------------------------------------------------------------------------

    def request(
        self,
        function_id: str,
        data: bytes,
        timeout: float | None,
        action: bytes = b"",
        read: Callable[[Any], T] | None = None,
    ) -> Future[T]:
        """Call with JSON bytes. `read` makes the result from plain JSON values.

        The future fails with `IIIInvocationError`.
        """
        self.check_process()
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()
        context = contextvars.copy_context()
        work = partial(self._request, answer, function_id, data, timeout, action, read)
        if self._refusing or not self.io.post(partial(context.run, work)):
            answer.set_exception(
                IIIInvocationError("SHUTDOWN", "iii is shutting down", function_id)
            )
        return answer

    def send(self, function_id: str, data: bytes) -> None:
        """Call without an answer. Never raises for the state of the connection."""
        self.check_process()
        context = contextvars.copy_context()
        self.io.post(partial(context.run, self._send, function_id, data))

    def register(self, change: Callable[[Registrations], None]) -> None:
        """Change what is offered."""
        self.check_process()
        self.io.post(partial(change, self.registrations))

    def check_process(self) -> None:
        """Raises `RuntimeError` in a process forked from the one that made this."""
        if os.getpid() != self._pid:
            raise RuntimeError("III does not survive a fork; make a new one in the new process")

    def refuse_calls(self) -> None:
        """From now on calls fail with `SHUTDOWN`."""
        self._refusing = True

    def close(self) -> None:
        """Fail pending calls with `SHUTDOWN`, close the socket, end the thread."""
        try:
            self.io.submit(self._close()).result(CLOSE_SECONDS)
        except (TimeoutError, RuntimeError):
            log.warning("the connection to the engine did not close in time")
        self.io.stop(CLOSE_SECONDS)

    # -- on the I/O thread -----------------------------------------------------------------------

    def _open(self, backoff: Backoff) -> None:
        self._connection = Connection(
            self._endpoint,
            self.metadata,
            self.registrations,
            backoff=backoff,
            on_state=self._on_state,
        )
        name = self.metadata.name or ""
        self.telemetry = self._connection.observe(self._observed, name)
        if self.telemetry is not None and "opentelemetry.sdk.trace" in sys.modules:
            from iii_sdk.telemetry import opentelemetry

            opentelemetry.install(self.telemetry)
        self._running = asyncio.get_running_loop().create_task(self._connection.run())

    async def _close(self) -> None:
        await self.connection.close()
        await asyncio.wait((self._running,), timeout=CLOSE_SECONDS)
        await self._endpoint.close_channels()

    def _on_state(self, state: State) -> None:
        if self.state != "failed":
            self._enter("disconnected" if state is State.CLOSED else state.value)

    def _enter(self, state: ConnectionState) -> None:
        self.state = state
        if state in ("connected", "failed"):
            self._settled.set()
        else:
            self._settled.clear()
        self.on_state(state)

    def _give_up(self) -> None:
        log.error("gave up connecting to the engine at %s", self.address)
        self._enter("failed")
        self._closing = asyncio.ensure_future(self.connection.close())

    def _request(
        self,
        answer: Future[T],
        function_id: str,
        data: bytes,
        timeout: float | None,
        action: bytes,
        read: Callable[[Any], T] | None,
    ) -> None:
        try:
            pending = self.connection.request(function_id, data, timeout, action)
        except BusError as error:
            answer.set_exception(published(error, function_id))
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            answer.set_exception(error)
        else:
            pending.add_done_callback(partial(_settle, answer, function_id, read))

    def _send(self, function_id: str, data: bytes) -> None:
        try:
            self.connection.send(function_id, data)
        except BusError as error:
            log.warning("a void call of %s was not sent: %s", function_id, error)


def _settle(
    answer: Future[Any],
    function_id: str,
    read: Callable[[Any], Any] | None,
    pending: asyncio.Future[Raw],
) -> None:
    if pending.cancelled():
        error = IIIInvocationError("SHUTDOWN", "iii is shutting down", function_id)
        answer.set_exception(error)
        return
    failure = pending.exception()
    if isinstance(failure, BusError):
        answer.set_exception(published(failure, function_id))
        return
    try:
        value = _plain(pending.result())
        answer.set_result(value if read is None else read(value))
    except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
        answer.set_exception(error)


def _metadata(options: InitOptions) -> WorkerMetadata:
    metadata = worker_metadata(options.worker_name, description=options.description)
    program = options.program
    if metadata.telemetry is not None:
        for name in ("language", "project_name", "framework", "amplitude_api_key"):
            value = getattr(program, name)
            if value is not None:
                setattr(metadata.telemetry, name, value)
    return metadata
