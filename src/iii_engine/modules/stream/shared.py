"""The adapters `redis` and `nats`: several engines share streams, and hear of all their events.

Items are on the server, and so each event goes by way of it to all engines, this one included.
What happened while an engine could not reach the server is missed, so then its clients get their
values anew.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

import msgspec

from iii_engine.core.stream_messages import Event, read_event
from iii_engine.modules.broadcasts import Carrier, make_broadcast
from iii_engine.modules.stream.hub import Hub
from iii_engine.net.broadcast import Message
from iii_engine.storage.base import StoreError

log = logging.getLogger("iii.streams")

#: The channel in Redis, and in NATS the topic below `<prefix>.stream`.
TOPIC: Final = "stream::events"


class SharedEvents:
    """Brings what happens here to all engines, and what happens anywhere to the hub."""

    def __init__(self, carrier: Carrier, hub: Hub) -> None:
        self._hub = hub
        self._broadcast = make_broadcast(carrier, "stream", self._heard)
        self._broadcast.returned = hub.subscriptions.refresh

    @property
    def problem(self) -> str | None:
        """Why events do not come or go at the moment."""
        return self._broadcast.problem

    async def open(self) -> None:
        """Raises `StoreError` that names the server."""
        await self._broadcast.open()
        self._broadcast.listen(TOPIC)
        self._hub.publish = self._publish

    async def close(self) -> None:
        """Send what waits, and hear nothing more."""
        await self._broadcast.close()

    def _publish(self, event: Event) -> None:
        message = Message(TOPIC, event.message, event.traceparent, event.baggage)
        self._broadcast.publish(message, partial(self._sent, event))

    def _sent(self, event: Event, error: StoreError | None) -> None:
        if error is not None:
            # The change is made, and this engine's own clients can still be told of it.
            log.error("other engines are not told of an event of %r: %s", event.stream, error)
            self._hub.deliver(event)

    def _heard(self, topic: str, message: Message) -> None:
        try:
            event = read_event(message.data, message.traceparent, message.baggage)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.warning("what came by way of %s is no event: %s", topic, error)
        else:
            self._hub.deliver(event)
