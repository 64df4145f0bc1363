"""Where events come from and go to: items, handlers of triggers, and sockets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from msgspec import Raw, json

from iii_engine.core.engine import Engine
from iii_engine.core.stream_messages import Event, Wanted
from iii_engine.core.stream_subscriber import Subscription
from iii_engine.core.stream_subscriptions import Subscriptions
from iii_engine.modules.stream import listing
from iii_engine.modules.stream.custom import custom
from iii_engine.modules.stream.requests import GroupRequest, ItemRequest
from iii_engine.modules.stream.triggers import StreamTriggers
from iii_engine.modules.stream.visitors import Joins, Leaves
from iii_engine.storage.base import ServerLost, Store
from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody

log = logging.getLogger("iii.streams")

#: The topic on which engines with the items of another one publish events over there. What is
#: sent on that other one is published on it as well, so they all hear of it.
TOPIC: Final = "stream.events"

#: How long a worker that keeps a stream itself may take to read it for a subscription.
SNAPSHOT_TIMEOUT_MS: Final = 10_000

#: Gets what was read, or why it could not be.
Read: TypeAlias = Callable[[bytes | None, BaseException | None], None]

READ_ERROR: Final = "STREAM_GET_ERROR"

#: How often a server that keeps the items is asked, and how long after it was lost.
READ_ATTEMPTS: Final = 20
READ_PAUSE_SECONDS: Final = 0.5


class Hub:
    """Everybody who is interested in streams of this engine.

    `publish` is given what happens here. By itself it delivers; an adapter that shares streams
    with other engines puts a function in its place that brings the event to all of them, each of
    which calls `deliver` once. `stored` reads what a subscription begins with.
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self.triggers = StreamTriggers(engine)
        self.joins = Joins(engine)
        self.leaves = Leaves(engine)
        self.subscriptions = Subscriptions(self, self.now_ms)
        self.publish: Callable[[Event], None] = self.deliver
        self.stored: Callable[[Wanted, Read], None] = self._stored

    def now_ms(self) -> int:
        return self._engine.clock.now_ns() // 1_000_000

    def deliver(self, event: Event) -> None:
        """Give an event to the sockets and handlers of this engine; it is encoded once."""
        triggers = self.triggers.matching(event)
        watched = self.subscriptions.watched(event.stream, event.group, event.item)
        if not triggers and not watched:
            return
        message = event.message
        if watched:
            self.subscriptions.deliver(event, message)
        self.triggers.deliver(triggers, event, message)

    def _stored(self, wanted: Wanted, done: Read) -> None:
        self._store.browse(partial(listing.wanted, request=wanted), done)

    # -- for subscriptions -----------------------------------------------------------------------

    def admit(self, subscription: Subscription, decided: Callable[[bool], None]) -> None:
        self.joins.ask(subscription, decided)

    def left(self, subscription: Subscription) -> None:
        self.leaves.tell(subscription)

    def snapshot(
        self, wanted: Wanted, done: Callable[[bytes | None, ErrorBody | None], None]
    ) -> None:
        def answered(result: Raw, error: ErrorBody | None) -> None:
            done(bytes(result), error)

        stream, group, item = wanted.stream_name, wanted.group_id, wanted.id
        function_id = custom("list" if item is None else "get", stream)
        if function_id not in self._engine.registry:
            self._read(wanted, done, READ_ATTEMPTS)
            return
        request = GroupRequest(stream, group) if item is None else ItemRequest(stream, group, item)
        self._engine.call(
            function_id, json.encode(request), answered, timeout_ms=SNAPSHOT_TIMEOUT_MS
        )

    def _read(
        self,
        wanted: Wanted,
        done: Callable[[bytes | None, ErrorBody | None], None],
        attempts: int,
    ) -> None:
        """Read what is stored; a server that was lost may be back soon."""

        def read(data: bytes | None, error: BaseException | None) -> None:
            if error is None:
                done(data, None)
            elif isinstance(error, ServerLost) and attempts > 1:
                again = partial(self._read, wanted, done, attempts - 1)
                self._engine.timers.after(READ_PAUSE_SECONDS, again)
            elif isinstance(error, BusError):
                done(None, ErrorBody(error.code, error.message))
            else:
                log.error("reading a stream failed", exc_info=error)
                done(None, ErrorBody(READ_ERROR, "the stream cannot be read at the moment"))

        self.stored(wanted, read)
