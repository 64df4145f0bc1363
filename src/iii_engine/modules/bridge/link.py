"""The connection to another engine: there this engine is a worker, and uses the SDK for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit

from msgspec import Raw

from iii_engine.core.caller_stamp import without_caller
from iii_engine.core.engine import Engine
from iii_engine.core.router import Call, OnAnswer
from iii_engine.modules.base import fail
from iii_engine.modules.bridge.hops import LOOP, NAME, onward, onward_to
from iii_engine.net.server_url import masked
from iii_engine.version import VERSION
from iii_sdk import frames
from iii_sdk.address import Address
from iii_sdk.backoff import Backoff
from iii_sdk.connection import Connection, State
from iii_sdk.current_call import Traced, current_call
from iii_sdk.errors import BusError, Timeout
from iii_sdk.metadata import worker_metadata
from iii_sdk.protocol import (
    NULL,
    ErrorBody,
    InvokeFunction,
    RegisterFunction,
    RegisterTrigger,
    UnregisterFunction,
    is_null,
)
from iii_sdk.websocket import WebSocketEndpoint

log = logging.getLogger("iii.bridge")

#: Until the first attempt to connect again, in seconds; it doubles, up to 30 s.
FIRST_PAUSE = 1.0


class Link:
    """One connection, which comes back by itself and then offers again what it offered.

    `url` must have passed `check_url`. What is called while there is no connection waits for one,
    at most its timeout and with at most 1,000 others.
    """

    def __init__(self, url: str, engine: Engine) -> None:
        self.url = url
        self.engine = engine
        #: Why this link can never work; None while it can.
        self.problem: str | None = None
        #: Called at each connection but the first: events over there may have been missed.
        self.returned: list[Callable[[], None]] = []
        self._known = False
        self.connection = Connection(
            WebSocketEndpoint(Address(url)),
            worker_metadata(NAME, version=VERSION, description="Another engine"),
            backoff=Backoff(initial=FIRST_PAUSE),
            on_state=self._on_state,
        )
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._task = self._loop.create_task(self.connection.run())

    @property
    def connected(self) -> bool:
        return self.connection.state is State.CONNECTED

    @property
    def status(self) -> str:
        """One word or sentence for people."""
        return self.problem or self.connection.auth_error or self.connection.state.value

    async def close(self, patience: float = 0.0) -> None:
        """What is under way gets `patience` seconds to end."""
        end = self._loop.time() + patience
        while self._under_way and self._loop.time() < end:
            self._idle.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), end - self._loop.time())
        await self.connection.close()
        await self._task

    def _on_state(self, state: State) -> None:
        if state is State.CONNECTED:
            log.info("connected to the engine at %s", masked(self.url))
            if self.connection.worker_id in self.engine.sessions:
                self._reaches_itself()
            elif self._known:
                for call in self.returned:
                    self._loop.call_soon(call)  # behind what is offered again
            self._known = True
        elif state is State.DISCONNECTED:
            log.warning("no connection to the engine at %s", masked(self.url))

    def _reaches_itself(self) -> None:
        """Calls would go round in circles until their callers give up."""
        self.problem = "the url is that of this engine itself"
        log.error("the bridge to %s is closed: %s", masked(self.url), self.problem)
        self._closing = self._loop.create_task(self.connection.close())

    def _began(self) -> None:
        self._under_way += 1

    def _ended(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    # -- calling the other engine ----------------------------------------------------------------

    def request(
        self,
        cause: Traced | None,
        function_id: str,
        data: Raw | bytes,
        timeout_ms: int,
        on_answer: OnAnswer,
        *,
        action: bytes = b"",
        metadata: Raw = NULL,
        patience: float | None = None,
    ) -> None:
        """Call a function there, in the trace of `cause`. The payload is not read.

        With `patience` it waits no more than so many seconds for a connection, and the timeout
        counts from then on. `on_answer` gets the result, or the error as the other engine, or the
        link, gave it.
        """
        about = b"" if is_null(metadata) else metadata
        token = current_call.set(cause)
        try:
            future = self.connection.request(
                function_id, data, timeout_ms / 1000, action, metadata=about, patience=patience
            )
        except BusError as error:
            on_answer(NULL, error_of(error))
        else:
            self._began()
            future.add_done_callback(partial(self._answered, on_answer))
        finally:
            current_call.reset(token)

    def _answered(self, on_answer: OnAnswer, future: asyncio.Future[Raw]) -> None:
        self._ended()
        if future.cancelled():
            on_answer(NULL, ErrorBody("invocation_stopped", "Invocation stopped"))
        elif (error := future.exception()) is None:
            on_answer(future.result(), None)
        elif isinstance(error, BusError):
            on_answer(NULL, error_of(error))
        else:
            log.error("a call of another engine failed", exc_info=error)
            on_answer(NULL, ErrorBody("invocation_failed", "internal server error"))

    def send(
        self,
        cause: Traced | None,
        function_id: str,
        data: Raw | bytes,
        action: bytes = frames.VOID_ACTION,
    ) -> None:
        """As `request`, without an answer. Raises `BusError` for what is too large."""
        token = current_call.set(cause)
        try:
            self.connection.send(function_id, data, action)
        finally:
            current_call.reset(token)

    # -- being called by it ----------------------------------------------------------------------

    def offers(self, remote_id: str) -> bool:
        return remote_id in self.connection.registrations.functions

    def expose(self, remote_id: str, local_id: str) -> None:
        """Have the other engine offer a function of this one, there or not."""
        self.offer(remote_id, f"{local_id} of another engine", partial(self.invoke, local_id))

    def offer(
        self, remote_id: str, description: str, on_invoke: Callable[[InvokeFunction, int], None]
    ) -> None:
        """Have the other engine offer what `on_invoke` answers. The id must not be taken."""
        registrations = self.connection.registrations
        registrations.add_function(RegisterFunction(remote_id, description), on_invoke)

    def invoke(self, local_id: str, message: InvokeFunction, epoch: int) -> None:
        """Answer a call from over there with what a function here answers."""
        try:
            metadata = onward_to(self.engine, local_id, message.metadata)
        except BusError as error:
            self.connection.refuse(message, epoch, error_of(error))
            return
        self._began()

        def answer(result: Raw, error: ErrorBody | None) -> None:
            self._ended()
            if error is None:
                self.connection.answer(message, epoch, result)
            else:
                self.connection.refuse(message, epoch, error)

        self.engine.call(
            local_id,
            # Ids of workers mean something on their own engine only.
            without_caller(message.data),
            answer,
            traceparent=message.traceparent,
            baggage=message.baggage,
            metadata=metadata,
        )

    def withdraw(self, remote_id: str) -> None:
        """Have the other engine send no more calls; those on their way are answered."""
        self.connection.registrations.announce(UnregisterFunction(remote_id))

    def forget(self, remote_id: str) -> None:
        """No longer offer a function."""
        self.connection.registrations.remove_function(remote_id)

    def subscribe(
        self, trigger_type: str, config: bytes, on_event: Callable[[InvokeFunction], None]
    ) -> str:
        """Hear of events over there; the id is for `unsubscribe`."""

        def on_invoke(message: InvokeFunction, epoch: int) -> None:
            self.connection.answer(message, epoch, NULL)
            try:
                on_event(message)
            except Exception:
                log.exception("an event of type %s cannot be used", trigger_type)

        function_id = f"bridge::{trigger_type}::{self.engine.ids.uuid()}"
        return self.consume(trigger_type, config, function_id, on_invoke)

    def consume(
        self,
        trigger_type: str,
        config: bytes,
        remote_id: str,
        on_invoke: Callable[[InvokeFunction, int], None],
    ) -> str:
        """As `subscribe`, with a function of this id over there, and answers from `on_invoke`."""
        self.offer(remote_id, f"Takes {trigger_type} events to another engine", on_invoke)
        subscription = self.engine.ids.uuid()
        trigger = RegisterTrigger(subscription, trigger_type, remote_id, Raw(config))
        self.connection.registrations.add_trigger(trigger)
        return subscription

    def unsubscribe(self, subscription: str) -> None:
        registrations = self.connection.registrations
        trigger, _ = registrations.triggers[subscription]
        registrations.remove_trigger(subscription)
        registrations.remove_function(trigger.function_id)


def error_of(error: BusError) -> ErrorBody:
    """An error of the SDK as it travels."""
    return ErrorBody(error.code, error.message, error.stacktrace, error.retry_after, error.details)


def bridge_error(error: ErrorBody) -> ErrorBody:
    """What a caller here is told of an error there: `details.code` is its own code."""
    if error.details == {"code": LOOP}:
        return error
    if error.code == Timeout.code.upper():
        message = "invocation timed out"
    else:
        message = f"remote error ({error.code}): {error.message}"
    return ErrorBody("bridge_error", message, details={"code": error.code})


def forward(link: Link, call: Call, function_id: str, data: Raw | bytes, timeout_ms: int) -> None:
    """Answer a call here with what a function there answers."""

    def on_answer(result: Raw, error: ErrorBody | None) -> None:
        call.settle(result, None if error is None else bridge_error(error))

    try:
        link.request(call, function_id, data, timeout_ms, on_answer, metadata=onward(call))
    except BusError as error:
        call.settle(NULL, error_of(error))
    except Exception as error:  # noqa: BLE001  (`fail` logs it)
        fail(call, error)


def check_url(url: str, option: str) -> None:
    """Raises `BusError` that names the option, without secrets that may be part of the URL."""
    try:
        Address(url)
    except ValueError:
        text = f"{option}: '{masked(url)}' is not a ws:// or wss:// URL"
        raise BusError(text, code="invalid_config") from None
    if "@" in urlsplit(url).netloc:
        text = (
            f"{option}: '{masked(url)}' has a user or a password, which engines do not ask for; "
            "what its auth function is to see goes into the query"
        )
        raise BusError(text, code="invalid_config")
