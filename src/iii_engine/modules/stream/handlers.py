"""From a call to the items, back, and on to those who watch."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TypeVar

from msgspec import Raw

from iii_engine.core.engine import Engine
from iii_engine.core.registry import LocalHandler
from iii_engine.core.router import Call
from iii_engine.core.stream_messages import Event, sent
from iii_engine.modules.base import fail, read, read_input
from iii_engine.modules.records.handlers import Writing
from iii_engine.modules.steps import Outcome
from iii_engine.modules.stream.custom import change_by, custom, pass_on
from iii_engine.modules.stream.hub import Hub
from iii_engine.modules.stream.records import Change, event_of
from iii_engine.modules.stream.requests import ItemRequest, SendRequest, StreamRequest
from iii_engine.storage.base import Store, Transaction
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL

Q = TypeVar("Q", bound=ItemRequest)


class Handlers:
    """Makes handlers. `code` is what a failure of the store is answered with."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        hub: Hub,
        elsewhere: Callable[[str], LocalHandler] | None = None,
        announce: Callable[[Event], None] | None = None,
    ) -> None:
        """`elsewhere` makes the handlers of functions whose work another engine does. `announce`
        tells engines that have the items of this one what is sent here."""
        self.engine = engine
        self.store = store
        self._hub = hub
        self._elsewhere = elsewhere
        self._announce = announce

    def changing(
        self, op: str, code: str, kind: type[Q], work: Callable[[Transaction, Q], Change]
    ) -> LocalHandler:
        """Answers when the change is durable, then tells those who watch."""
        changing = Changing(self, op, code, kind, work)
        if self._elsewhere is None:
            return changing
        changing.make_elsewhere = self._elsewhere(f"stream::{op}")
        return changing.__call__  # a mere function: no step of a transaction

    def reading(
        self, op: str, kind: type[StreamRequest], from_store: Callable[[Call], None]
    ) -> Callable[[Call], None]:
        """Answers from the store, or what the worker answers that keeps the stream."""
        if self._elsewhere is not None:
            from_store = self._elsewhere(f"stream::{op}")

        def handler(call: Call) -> None:
            try:
                function_id = custom(op, read(call, kind).stream_name)
            except BusError as error:
                fail(call, error)
                return
            if function_id in self.engine.registry:
                pass_on(self.engine, function_id, call)
            else:
                from_store(call)

        return handler

    def send(self, call: Call) -> None:
        """Tells those who watch of something that is not stored."""
        try:
            request = read(call, SendRequest)
        except BusError as error:
            fail(call, error)
            return
        event = Event(
            stream=request.stream_name,
            group=request.group_id,
            item=request.id,
            body=sent(request.type, bytes(request.data)),
            change=False,
            traceparent=call.traceparent,
            baggage=call.baggage,
            timestamp_ms=self._hub.now_ms(),
        )
        self._hub.publish(event)
        if self._announce is not None and not request.published:
            self._announce(event)
        call.reply(NULL)

    def tell(self, change: Change, cause: Call) -> None:
        """A change is durable."""
        event = event_of(change, cause, self._hub.now_ms())
        if event is not None:
            self._hub.publish(event)


class Changing(Writing[Q, Change]):
    """Changes an item of the store, or has the worker change it that keeps the stream."""

    def __init__(
        self,
        handlers: Handlers,
        op: str,
        code: str,
        kind: type[Q],
        work: Callable[[Transaction, Q], Change],
    ) -> None:
        super().__init__(
            handlers.store,
            code,
            kind,
            work,
            answer=attrgetter("answer"),
            tell=handlers.tell,
        )
        self._handlers = handlers
        self._op = op
        self._item = kind
        self.make_elsewhere: LocalHandler | None = None

    def __call__(self, call: Call) -> None:
        engine = self._handlers.engine
        try:
            request = read(call, self._item)
        except BusError as error:
            fail(call, error)
            return
        function_id = custom(self._op, request.stream_name)
        if function_id in engine.registry:
            tell = self._handlers.tell
            change_by(engine, function_id, call, request, lambda change: tell(change, call))
        elif self.make_elsewhere is not None:
            self.make_elsewhere(call)
        else:
            self.make(call, request)

    def prepare(
        self, cause: Call, function_id: str, data: Raw | bytes
    ) -> Callable[[Transaction], Outcome]:
        """See `Step.prepare`. What a worker keeps is in no transaction of ours."""
        stream = read_input(function_id, data, self._item).stream_name
        if custom(self._op, stream) in self._handlers.engine.registry:
            raise BusError(
                f"the stream {stream!r} is kept by a worker and cannot be part of a transaction",
                code="not_transactable",
            )
        return super().prepare(cause, function_id, data)
