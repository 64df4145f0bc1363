"""From a call to the items, back, and on to those who watch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.core.stream_messages import Event, sent
from iii_engine.modules.base import fail, read
from iii_engine.modules.records.handlers import reading
from iii_engine.modules.stream.custom import change_by, custom, pass_on
from iii_engine.modules.stream.hub import Hub
from iii_engine.modules.stream.records import Change, event_of
from iii_engine.modules.stream.requests import ItemRequest, SendRequest, StreamRequest
from iii_engine.storage.base import Store, Transaction
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL

R = TypeVar("R", bound=StreamRequest)
Q = TypeVar("Q", bound=ItemRequest)


class Handlers:
    """Makes handlers. `code` is what a failure of the store is answered with."""

    def __init__(self, engine: Engine, store: Store, hub: Hub) -> None:
        self._engine = engine
        self._store = store
        self._hub = hub

    def changing(
        self, op: str, code: str, kind: type[Q], work: Callable[[Transaction, Q], Change]
    ) -> Callable[[Call], None]:
        """Answers when the change is durable, then tells those who watch."""

        def done(call: Call, change: Change | None, error: BaseException | None) -> None:
            if change is None:
                fail(call, error, code)
            else:
                call.reply(change.answer)
                self.tell(call, change)

        def handler(call: Call) -> None:
            try:
                request = read(call, kind)
            except BusError as error:
                fail(call, error)
                return
            function_id = custom(op, request.stream_name)
            if function_id in self._engine.registry:
                change_by(self._engine, function_id, call, request, partial(self.tell, call))
            else:
                self._store.write(
                    lambda transaction: work(transaction, request), partial(done, call)
                )

        return handler

    def reading(
        self, op: str, code: str, kind: type[R], work: Callable[[Transaction, R], bytes]
    ) -> Callable[[Call], None]:
        """Answers from what is committed, or what the worker answers that keeps the stream."""
        from_store = reading(self._store, code, kind, work)

        def handler(call: Call) -> None:
            try:
                function_id = custom(op, read(call, kind).stream_name)
            except BusError as error:
                fail(call, error)
                return
            if function_id in self._engine.registry:
                pass_on(self._engine, function_id, call)
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
        self._hub.publish(
            Event(
                stream=request.stream_name,
                group=request.group_id,
                item=request.id,
                body=sent(request.type, bytes(request.data)),
                change=False,
                traceparent=call.traceparent,
                baggage=call.baggage,
                timestamp_ms=self._hub.now_ms(),
            )
        )
        call.reply(NULL)

    def tell(self, cause: Call, change: Change) -> None:
        """A change is durable."""
        event = event_of(change, cause, self._hub.now_ms())
        if event is not None:
            self._hub.publish(event)
