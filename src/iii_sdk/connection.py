"""The connection of one worker to its engine: it comes back by itself, whatever ended it.

The connection owns what this end offers (`registrations`) and the calls it waits for. On every
connect the first frames are `reattach` (after the first time), the metadata and all registrations;
then, when the engine has accepted the worker, the calls made meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

from msgspec import Raw

from iii_sdk import frames, protocol
from iii_sdk.backoff import Backoff
from iii_sdk.calls import Calls
from iii_sdk.codec import encode
from iii_sdk.current_call import active
from iii_sdk.errors import BusError, TooLarge, Unavailable
from iii_sdk.malformed import MalformedMessage
from iii_sdk.outbox import Outbox
from iii_sdk.owned_types import OwnedTypes
from iii_sdk.protocol import (
    ErrorBody,
    InvocationResult,
    InvokeFunction,
    Message,
    RegisterTrigger,
    TriggerRegistrationResult,
    UnregisterTrigger,
    WorkerMetadata,
)
from iii_sdk.reconnection import Reconnection, resolve, wait_closed
from iii_sdk.registrations import Registrations, check_text
from iii_sdk.telemetry import Exporter, Settings
from iii_sdk.transport import Endpoint, Transport

log = logging.getLogger("iii.sdk")

#: Largest message sent, in bytes; larger data goes through a channel.
MAX_MESSAGE: Final = 64 * 1024 * 1024

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
        check_text(metadata)
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
        self._reconnection = Reconnection(self, endpoint, backoff or Backoff())
        self._on_state = on_state
        self._calls = Calls(self._loop)
        self._transport: Transport | None = None
        self._changed: asyncio.Future[None] = self._loop.create_future()
        self._reattach: protocol.Reattach | None = None
        self._outbox = Outbox(self._loop)
        self._send = self._outbox.send
        self.registrations.announce = self._announce
        self._types = OwnedTypes(self.registrations, self._announce)
        self._pongs: deque[asyncio.Future[None]] = deque()
        #: What tells the engine of this worker's spans, if anything does.
        self.telemetry: Exporter | None = None

    # -- life ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and connect again after every end, until `close`."""
        await self._reconnection.run()

    def connecting(self) -> None:
        self._enter(State.RECONNECTING if self.epoch else State.CONNECTING)
        self.epoch += 1

    def disconnected(self) -> None:
        self._enter(State.DISCONNECTED)

    async def close(self, code: int = 1000) -> None:
        """End for good. Pending calls fail with `SHUTDOWN`. Harmless when done twice."""
        if self._closing:
            return
        if self.telemetry is not None:
            self.telemetry.close()
        self._outbox.flush()
        self._enter(State.CLOSED)
        self._closing = True
        self._reconnection.stop()
        self._calls.shut_down()
        self._outbox.release()
        self._types.cancel()
        transport = self._transport
        if transport is not None:
            transport.close(code)
            await wait_closed(transport)
        else:
            self._reconnection.ended()

    def _enter(self, state: State) -> None:
        if state is not self.state and not self._closing:
            self.state = state
            changed, self._changed = self._changed, self._loop.create_future()
            resolve(changed)
            if self._on_state is not None:
                self._on_state(state)

    async def changed(self) -> None:
        """Wait for the next change of `state`."""
        await asyncio.shield(self._changed)

    # -- Receiver --------------------------------------------------------------------------------

    def opened(self, transport: Transport) -> None:
        """Say who this is and what it offers; `received` may follow before `connect` returns."""
        if self._closing:
            transport.abort()
            return
        self._reconnection.opened()
        self._transport = transport
        self._outbox.opened(transport)
        if self._reattach is not None:
            self._send(protocol.encode(self._reattach))
        self.send_metadata()
        for frame in self.registrations.frames():
            self._send(frame)
        self._outbox.flush()

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
        self._outbox.flow(open)

    def closed(self, code: int, reason: str) -> None:
        if not self._closing:
            log.info("connection to the engine ended: %d %s", code, reason)
        self._transport = None
        self._enter(State.DISCONNECTED)
        self._outbox.closed()
        self._calls.lose_sent()
        while self._pongs:
            resolve(self._pongs.popleft())
        self._reconnection.ended()

    # -- calls -----------------------------------------------------------------------------------

    def request(
        self,
        function_id: str,
        data: bytes | Raw,
        timeout: float | None,
        action: bytes = b"",
        metadata: bytes | Raw = b"",
        patience: float | None = None,
    ) -> asyncio.Future[Raw]:
        """Call with JSON bytes; the future ends with the result's bytes or a `BusError`.

        `timeout` is in seconds, None waits for ever. It counts from now, or with `patience` from
        when there is a connection, which is waited for so many seconds (`not_connected`).
        Raises `BusError` for what cannot be sent.
        """
        if len(data) > MAX_MESSAGE:
            raise _payload_too_large(len(data))
        if self._closing:
            raise Unavailable("iii is shutting down", code="SHUTDOWN", function_id=function_id)
        if self._outbox.full:
            raise Unavailable("the engine does not keep up", code="connection_overloaded")
        call_id, call = self._calls.open(function_id, timeout)
        parent = active()
        trace = (None, None) if parent is None else (parent.traceparent, parent.baggage)
        try:
            frame = frames.invocation(call_id, function_id, data, *trace, action, metadata)
        except BusError:
            self._calls.forget(call_id)
            raise
        if self.state is State.CONNECTED:
            call.sent = True
            self._send(frame)
        else:
            if patience is not None:
                self._calls.hold(call_id, patience)
                self._reconnection.hurry(patience)
            self._hold(call_id, frame)
        return call.future

    def send(self, function_id: str, data: bytes | Raw, action: bytes = frames.VOID_ACTION) -> None:
        """Call without an answer. Never raises for the state of the connection."""
        if len(data) > MAX_MESSAGE:
            raise _payload_too_large(len(data))
        parent = active()
        frame = frames.invocation(
            None,
            function_id,
            data,
            None if parent is None else parent.traceparent,
            None if parent is None else parent.baggage,
            action,
        )
        if self._closing:
            log.debug("dropped a void call of %s: iii is shutting down", function_id)
        elif self.state is not State.CONNECTED:
            self._hold(None, frame)
        elif self._outbox.full:
            log.warning("dropped a void call of %s: the engine does not keep up", function_id)
        else:
            self._send(frame)

    def _hold(self, call_id: str | None, frame: bytes) -> None:
        for displaced in self._outbox.hold(call_id, frame):
            self._calls.displaced(displaced)

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

    def observe(self, settings: Settings, worker_name: str) -> Exporter | None:
        """Tell the engine of spans, logs and the process; None when that is switched off."""
        if settings.enabled:
            self.telemetry = Exporter(
                settings, worker_name, self.send_telemetry, lambda: self.worker_id
            )
            self.telemetry.start()
        return self.telemetry

    def send_telemetry(self, frame: bytes) -> bool:
        """Send a frame of telemetry; False when the engine takes nothing now."""
        transport = self._transport
        if transport is None or self.state is not State.CONNECTED or not self._outbox.writable:
            return False
        transport.send_bytes(frame)
        return True

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
            self._types.register(message)
        elif isinstance(message, UnregisterTrigger):
            self._types.unregister(message)
        elif isinstance(message, TriggerRegistrationResult):
            self._on_trigger_result(message)
        elif isinstance(message, protocol.ErrorMessage):
            self._on_error(message)
        elif isinstance(message, protocol.Ping):
            self._send(_PONG)
        elif isinstance(message, protocol.Pong) and self._pongs:
            resolve(self._pongs.popleft())

    def _on_registered(self, message: protocol.WorkerRegistered) -> None:
        self.worker_id = message.worker_id
        self.auth_error = None
        self._reattach = protocol.Reattach(message.worker_id, message.reattach_token)
        self._enter(State.CONNECTED)
        for call_id, frame in self._outbox.release():
            if call_id is None:
                self._send(frame)
            elif call_id in self._calls:  # else it has timed out meanwhile
                self._calls.sent(call_id)
                self._send(frame)

    def _on_error(self, message: protocol.ErrorMessage) -> None:
        if self.auth_error is None:
            log.error("the engine refused this worker: %s", message.error.message)
        self.auth_error = message.error.message

    def _on_trigger_result(self, message: TriggerRegistrationResult) -> None:
        if message.error is None:
            return
        waits = message.error.code == "trigger_type_not_found"
        log.log(
            logging.INFO if waits else logging.ERROR,
            "trigger of type %s for %s %s: %s",
            message.trigger_type,
            message.function_id,
            "waits for its type" if waits else "was refused",
            message.error.message,
        )
        entry = self.registrations.triggers.get(message.id)
        if entry is not None and entry[1] is not None:
            entry[1](message.error)


def _payload_too_large(size: int) -> TooLarge:
    return TooLarge(
        f"the message has {size} bytes and at most {MAX_MESSAGE} are sent; "
        "send large data through a channel",
        code="payload_too_large",
    )
