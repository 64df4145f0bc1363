"""The connection of one worker to its engine: it comes back by itself, whatever ended it.

The connection owns what this end offers (`registrations`) and the calls it waits for. On every
connect the first frames are `reattach` (after the first time), the metadata and all registrations;
then, when the engine has accepted the worker, the calls made meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

from msgspec import Raw

from iii_sdk import frames, protocol
from iii_sdk.backoff import Backoff
from iii_sdk.call import current_call
from iii_sdk.calls import Calls
from iii_sdk.codec import encode
from iii_sdk.errors import BusError, TooLarge, Unavailable
from iii_sdk.protocol import (
    ErrorBody,
    InvocationResult,
    InvokeFunction,
    MalformedMessage,
    Message,
    RegisterFunction,
    RegisterService,
    RegisterTrigger,
    RegisterTriggerType,
    TriggerRegistrationResult,
    UnregisterTrigger,
    WorkerMetadata,
)
from iii_sdk.registrations import OnInvoke, OnTriggerError, Registrations, TypeHandler
from iii_sdk.transport import Endpoint, Transport

log = logging.getLogger("iii.sdk")

#: Largest message sent, in bytes; larger data goes through a channel.
MAX_MESSAGE: Final = 64 * 1024 * 1024
#: Messages kept while there is no connection; the oldest goes first.
QUEUE_MESSAGES: Final = 1000
#: Bytes that may wait for an engine that does not read.
OUTBOX_BYTES: Final = 64 * 1024 * 1024

CONNECT_SECONDS: Final = 15
PING_SECONDS: Final = 20.0
#: A connection that was silent for this many pings is dead.
SILENT_PINGS: Final = 3

_PING: Final = b'{"type":"ping"}'
_PONG: Final = b'{"type":"pong"}'


class State(Enum):
    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


class Connection:
    """One identity on the bus. Everything here is called on the event loop it was made on."""

    def __init__(
        self,
        endpoint: Endpoint,
        metadata: WorkerMetadata,
        registrations: Registrations | None = None,
        *,
        backoff: Backoff | None = None,
        on_state: Callable[[State], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.metadata = metadata
        self.registrations = registrations or Registrations()
        self.state = State.DISCONNECTED
        self._closing = False
        self.worker_id: str | None = None
        #: Grows with every socket; an answer must go out on the one its call came on.
        self.epoch = 0
        #: Why the engine refused this worker, until it accepts it.
        self.auth_error: str | None = None
        self._loop = asyncio.get_running_loop()
        self._backoff = backoff or Backoff()
        self._on_state = on_state
        self._calls = Calls(self._loop)
        self._transport: Transport | None = None
        self._ended: asyncio.Future[None] | None = None
        self._changed: asyncio.Future[None] = self._loop.create_future()
        self._reattach: protocol.Reattach | None = None
        self._queue: deque[tuple[str | None, bytes]] = deque()
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._writable = True
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and connect again after every end, until `close`."""
        while not self._closing:
            started = self._loop.time()
            self._enter(State.RECONNECTING if self.epoch else State.CONNECTING)
            try:
                await self._one_connection()
            except OSError as error:
                log.info("cannot connect to the engine: %s", error)
            if not self._closing:
                # An engine that accepts and refuses must not be asked every second.
                lasted = 0.0 if self.auth_error else self._loop.time() - started
                self._backoff.ended(lasted)
                self._enter(State.DISCONNECTED)
                await self._pause(self._backoff.next())

    async def _one_connection(self) -> None:
        self.epoch += 1
        self._ended = self._loop.create_future()
        transport = await self._connect(self._ended)
        watch = self._loop.create_task(self._watch(transport))
        try:
            await self._ended
        finally:
            watch.cancel()
        await transport.wait_closed()

    async def _connect(self, ended: asyncio.Future[None]) -> Transport:
        """Connect, unless that takes too long or `close` comes first."""
        connecting = asyncio.ensure_future(self.endpoint.connect(self))
        try:
            await asyncio.wait(
                (connecting, ended), timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not connecting.done():
                raise ConnectionError(f"no connection within {CONNECT_SECONDS} seconds")
            return connecting.result()
        finally:
            connecting.cancel()

    async def _pause(self, seconds: float) -> None:
        """Sleep; `close` ends it."""
        self._ended = self._loop.create_future()
        timer = self._loop.call_later(seconds, _resolve, self._ended)
        try:
            await self._ended
        finally:
            timer.cancel()

    async def close(self, code: int = 1000) -> None:
        """End for good. Pending calls fail with `SHUTDOWN`. Harmless when done twice."""
        if self._closing:
            return
        self._flush()
        self._enter(State.CLOSED)
        self._closing = True
        self._calls.shut_down()
        self._queue.clear()
        for task in list(self._tasks):
            task.cancel()
        transport = self._transport
        if transport is not None:
            transport.close(code)
            await transport.wait_closed()
        elif self._ended is not None:
            _resolve(self._ended)

    def _enter(self, state: State) -> None:
        if state is not self.state and not self._closing:
            self.state = state
            changed, self._changed = self._changed, self._loop.create_future()
            _resolve(changed)
            if self._on_state is not None:
                self._on_state(state)

    async def changed(self) -> None:
        """Wait for the next change of `state`."""
        await asyncio.shield(self._changed)

    async def _watch(self, transport: Transport) -> None:
        """Drop a connection that gives no sign of life. Counted in pings, not in seconds: after the
        loop was blocked, what the engine sent meanwhile is still read before the next ping."""
        silent = 0
        while True:
            await asyncio.sleep(PING_SECONDS)
            silent = 0 if transport.heard else silent + 1
            if silent >= SILENT_PINGS:
                log.warning("the engine is silent; connecting again")
                transport.abort()
                return
            transport.ping()

    # -- Receiver --------------------------------------------------------------------------------

    def opened(self, transport: Transport) -> None:
        """Say who this is and what it offers; `received` may follow before `connect` returns."""
        if self._closing:
            transport.abort()
            return
        self._transport = transport
        self._writable = True
        if self._reattach is not None:
            self._send(protocol.encode(self._reattach))
        self.send_metadata()
        for frame in self.registrations.frames():
            self._send(frame)
        self._flush()

    def received(self, data: bytes, is_text: bool) -> None:
        try:
            message = protocol.decode(data)
        except MalformedMessage as error:
            log.debug("ignored a message: %s", error)
            return
        if isinstance(message, InvocationResult):
            self._calls.settle(message)
        elif isinstance(message, InvokeFunction):
            self._on_invoke(message)
        else:
            self._on_other(message)

    def flow(self, open: bool) -> None:
        self._writable = open
        if open:
            self._flush()

    def closed(self, code: int, reason: str) -> None:
        if not self._closing:
            log.info("connection to the engine ended: %d %s", code, reason)
        self._transport = None
        self._enter(State.DISCONNECTED)
        self._outbox.clear()
        self._outbox_bytes = 0
        self._calls.lose_sent()
        while self._pongs:
            _resolve(self._pongs.popleft())
        if self._ended is not None:
            _resolve(self._ended)

    # -- calls -----------------------------------------------------------------------------------

    def request(
        self,
        function_id: str,
        data: bytes | Raw,
        timeout: float | None,
        action: bytes = b"",
        metadata: bytes | Raw = b"",
    ) -> asyncio.Future[Raw]:
        """Call with JSON bytes; the future ends with the result's bytes or a `BusError`.

        `timeout` is in seconds, None waits for ever. Raises `BusError` for what cannot be sent.
        """
        if len(data) > MAX_MESSAGE:
            raise _payload_too_large(len(data))
        if self._closing:
            raise Unavailable("iii is shutting down", code="SHUTDOWN", function_id=function_id)
        if self._outbox_bytes > OUTBOX_BYTES:
            raise Unavailable("the engine does not keep up", code="connection_overloaded")
        call_id, call = self._calls.open(function_id, timeout)
        parent = current_call.get()
        if parent is None:
            frame = frames.invocation(call_id, function_id, data, None, None, action, metadata)
        else:
            frame = frames.invocation(
                call_id, function_id, data, parent.traceparent, parent.baggage, action, metadata
            )
        if self.state is State.CONNECTED:
            call.sent = True
            self._send(frame)
        else:
            self._keep(call_id, frame)
        return call.future

    def send(self, function_id: str, data: bytes | Raw, action: bytes = frames.VOID_ACTION) -> None:
        """Call without an answer. Never raises for the state of the connection."""
        if len(data) > MAX_MESSAGE:
            raise _payload_too_large(len(data))
        parent = current_call.get()
        frame = frames.invocation(
            None,
            function_id,
            data,
            None if parent is None else parent.traceparent,
            None if parent is None else parent.baggage,
            action,
        )
        if self.state is not State.CONNECTED:
            self._keep(None, frame)
        elif self._outbox_bytes > OUTBOX_BYTES:
            log.warning("dropped a void call of %s: the engine does not keep up", function_id)
        else:
            self._send(frame)

    def answer(self, message: InvokeFunction, epoch: int, result: bytes | Raw) -> None:
        """Answer a call with JSON bytes; dropped when its connection is gone."""
        if message.invocation_id is None or epoch != self.epoch:
            return
        if len(result) > MAX_MESSAGE:
            error = _payload_too_large(len(result))
            self.refuse(message, epoch, ErrorBody(error.code, error.message))
        else:
            self._send(frames.result(message.invocation_id, message.function_id, result))

    def refuse(self, message: InvokeFunction, epoch: int, error: ErrorBody) -> None:
        """Answer a call with an error; dropped when its connection is gone."""
        if message.invocation_id is not None and epoch == self.epoch:
            self._send(frames.failure(message.invocation_id, message.function_id, error))

    async def settled(self, timeout: float = 5.0) -> bool:
        """Wait until the engine has applied everything sent so far. False after `timeout` seconds.

        Messages are applied in order, so the answer to a ping says it.
        """
        if self._transport is None:
            return False
        pong: asyncio.Future[None] = self._loop.create_future()
        self._pongs.append(pong)
        self._send(_PING)
        done, _ = await asyncio.wait((pong,), timeout=timeout)
        return bool(done) and self._transport is not None

    # -- registrations ---------------------------------------------------------------------------

    def add_function(self, message: RegisterFunction, on_invoke: OnInvoke | None) -> None:
        """Offer a function, now and on every later connection. Raises `ValueError`."""
        self.registrations.add_function(message, on_invoke)
        self._announce(message)

    def remove_function(self, function_id: str) -> None:
        if self.registrations.functions.pop(function_id, None) is not None:
            self._announce(protocol.UnregisterFunction(function_id))

    def add_trigger(self, message: RegisterTrigger, on_error: OnTriggerError | None = None) -> None:
        self.registrations.triggers[message.id] = (message, on_error)
        self._announce(message)

    def remove_trigger(self, trigger_id: str) -> None:
        entry = self.registrations.triggers.pop(trigger_id, None)
        if entry is not None:
            self._announce(UnregisterTrigger(trigger_id, entry[0].trigger_type))

    def add_type(self, message: RegisterTriggerType, handler: TypeHandler) -> None:
        self.registrations.types[message.id] = (message, handler)
        self._announce(message)

    def remove_type(self, type_id: str) -> None:
        if self.registrations.types.pop(type_id, None) is not None:
            self._announce(protocol.UnregisterTriggerType(type_id))

    def add_service(self, message: RegisterService) -> None:
        self.registrations.services[message.id] = message
        self._announce(message)

    def send_metadata(self) -> None:
        """Tell the engine who this is; done on every connect and when the metadata changed."""
        if self._transport is not None:
            data = encode(self.metadata)
            self._send(
                frames.invocation(
                    None, "engine::workers::register", data, action=frames.VOID_ACTION
                )
            )

    def _announce(self, message: Message) -> None:
        if self._transport is not None:
            self._send(protocol.encode(message))

    # -- outgoing --------------------------------------------------------------------------------

    def _send(self, frame: bytes) -> None:
        """Into the one write of this loop tick."""
        if self._transport is None:
            return
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(frame)
        self._outbox_bytes += len(frame)

    def _flush(self) -> None:
        if self._outbox and self._writable and self._transport is not None:
            frames, self._outbox = self._outbox, []
            self._outbox_bytes = 0
            self._transport.send(frames)

    def _keep(self, call_id: str | None, frame: bytes) -> None:
        """Hold a call until there is a connection."""
        if self._closing:
            return
        if len(self._queue) >= QUEUE_MESSAGES:
            self._queue.popleft()
            log.warning("dropped the oldest of %d waiting messages", QUEUE_MESSAGES)
        self._queue.append((call_id, frame))

    # -- incoming --------------------------------------------------------------------------------

    def _on_invoke(self, message: InvokeFunction) -> None:
        entry = self.registrations.functions.get(message.function_id)
        if entry is None:
            text = f"Function '{message.function_id}' not found"
            self.refuse(message, self.epoch, ErrorBody("function_not_found", text))
        elif entry[1] is None:
            text = "Function is HTTP-invoked and cannot be invoked locally"
            self.refuse(message, self.epoch, ErrorBody("function_not_invokable", text))
        else:
            entry[1](message, self.epoch)

    def _on_other(self, message: Message) -> None:
        if isinstance(message, protocol.WorkerRegistered):
            self._on_registered(message)
        elif isinstance(message, RegisterTrigger):
            self._on_register_trigger(message)
        elif isinstance(message, UnregisterTrigger):
            self._on_unregister_trigger(message)
        elif isinstance(message, TriggerRegistrationResult):
            self._on_trigger_result(message)
        elif isinstance(message, protocol.ErrorMessage):
            self._on_error(message)
        elif isinstance(message, protocol.Ping):
            self._send(_PONG)
        elif isinstance(message, protocol.Pong) and self._pongs:
            _resolve(self._pongs.popleft())

    def _on_registered(self, message: protocol.WorkerRegistered) -> None:
        self.worker_id = message.worker_id
        self.auth_error = None
        self._reattach = protocol.Reattach(message.worker_id, message.reattach_token)
        self._enter(State.CONNECTED)
        queue, self._queue = self._queue, deque()
        for call_id, frame in queue:
            if call_id is None:
                self._send(frame)
            elif call_id in self._calls:  # else it has timed out meanwhile
                self._calls.sent(call_id)
                self._send(frame)

    def _on_error(self, message: protocol.ErrorMessage) -> None:
        if self.auth_error is None:
            log.error("the engine refused this worker: %s", message.error.message)
        self.auth_error = message.error.message

    def _on_register_trigger(self, message: RegisterTrigger) -> None:
        entry = self.registrations.types.get(message.trigger_type)
        result = TriggerRegistrationResult(message.id, message.trigger_type, message.function_id)
        if entry is None:
            text = f"Trigger type '{message.trigger_type}' not found"
            result.error = ErrorBody("trigger_type_not_found", text)
            self._announce(result)
        else:
            self._spawn(self._bind(entry[1], message, result))

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
        self._announce(result)

    def _on_unregister_trigger(self, message: UnregisterTrigger) -> None:
        entry = self.registrations.types.get(message.trigger_type or "")
        if entry is not None and entry[1].unbind is not None:
            self._spawn(self._unbind(entry[1].unbind, message))

    async def _unbind(
        self, unbind: Callable[[UnregisterTrigger], Awaitable[None]], message: UnregisterTrigger
    ) -> None:
        try:
            await unbind(message)
        except Exception:
            log.exception("unbinding a trigger of type %s failed", message.trigger_type)

    def _on_trigger_result(self, message: TriggerRegistrationResult) -> None:
        if message.error is None:
            return
        log.error(
            "trigger of type %s for %s was refused: %s",
            message.trigger_type,
            message.function_id,
            message.error.message,
        )
        entry = self.registrations.triggers.get(message.id)
        if entry is not None and entry[1] is not None:
            entry[1](message.error)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _payload_too_large(size: int) -> TooLarge:
    return TooLarge(
        f"the message has {size} bytes and at most {MAX_MESSAGE} are sent; "
        "send large data through a channel",
        code="payload_too_large",
    )
