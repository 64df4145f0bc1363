"""The adapter `bridge`: the streams of another engine.

Every event that begins on this engine is published on the other one's topic `stream.events`.
Changes of its items it tells by itself, also those that were made through this engine: so these are
heard of from its trigger `stream`, whoever made them, and left alone when they come by the topic.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.engine import Engine
from iii_engine.core.registry import LocalHandler
from iii_engine.core.router import Call
from iii_engine.core.stream_messages import Event, Wanted, read_event
from iii_engine.modules.bridge.remote import Done, RemoteModule
from iii_engine.modules.stream.custom import read_change
from iii_engine.modules.stream.hub import TOPIC, Hub
from iii_engine.modules.stream.records import event_of
from iii_engine.modules.stream.requests import (
    DeleteRequest,
    GroupRequest,
    ItemRequest,
    SendRequest,
    SetRequest,
    UpdateRequest,
)
from iii_engine.storage.base import ServerLost
from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody, InvokeFunction

log = logging.getLogger("iii.streams")

#: The functions that change an item.
CHANGING: Final[dict[str, type[ItemRequest]]] = {
    "stream::set": SetRequest,
    "stream::update": UpdateRequest,
    "stream::delete": DeleteRequest,
}


class _Sent(Struct):
    type: str
    data: Raw


class _SentBody(Struct):
    event: _Sent


class _Kept(Struct):
    """Whether the item is kept by a worker, and the engine with the items knows nothing of it."""

    kept: bool = False


class RemoteStreams(RemoteModule):
    """Brings the events of the other engine to the hub, and those of the hub to all engines."""

    def __init__(self, engine: Engine, url: str, hub: Hub) -> None:
        super().__init__(engine, url)
        self._hub = hub
        hub.publish = self._publish
        hub.stored = self._stored
        self.link.returned.append(hub.subscriptions.refresh)
        self.hear("stream", b"{}", self._on_change)
        self.hear("subscribe", msgspec.json.encode({"topic": TOPIC}), self._on_topic)

    async def close(self) -> None:
        self.link.returned.remove(self._hub.subscriptions.refresh)
        await super().close()

    def handler(self, function_id: str, done: Done | None = None) -> LocalHandler:
        kind = CHANGING.get(function_id)
        return super().handler(function_id, done if kind is None else partial(self._made, kind))

    def _made(self, kind: type[ItemRequest], call: Call, data: Raw | bytes, result: Raw) -> None:
        """A change over there was made through this engine."""
        try:
            change = read_change(msgspec.json.decode(data, type=kind), result)
        except msgspec.DecodeError as error:
            log.warning("%s answered something else than a change: %s", call.function_id, error)
            return
        event = event_of(change, call, self._hub.now_ms())
        if event is not None:
            self._tell(event, event.message)

    def _on_change(self, message: InvokeFunction) -> None:
        """The other engine tells of a change of its items."""
        self._hub.deliver(read_event(message.data, message.traceparent, message.baggage))

    def _on_topic(self, message: InvokeFunction) -> None:
        event = read_event(message.data, message.traceparent, message.baggage)
        if not event.change or msgspec.json.decode(message.data, type=_Kept).kept:
            self._hub.deliver(event)

    def _publish(self, event: Event) -> None:
        """What the other engine does not know: it was sent, or a worker keeps the stream."""
        if event.change:
            self._tell(event, event.message[:-1] + b',"kept":true}')
            return
        self._tell(event, event.message)
        # Clients of the other engine are to get it as well, and only they.
        sent = msgspec.json.decode(event.body, type=_SentBody).event
        request = SendRequest(
            event.stream, event.group, sent.type, sent.data, event.item, published=True
        )
        self.link.send(event, "stream::send", msgspec.json.encode(request))

    def _tell(self, event: Event, message: bytes) -> None:
        self.link.send(event, "publish", b'{"topic":"%b","data":%b}' % (TOPIC.encode(), message))

    def _stored(
        self, wanted: Wanted, done: Callable[[bytes | None, BaseException | None], None]
    ) -> None:
        """What a new subscription begins with."""

        def answered(result: Raw, error: ErrorBody | None) -> None:
            if error is None:
                done(bytes(result), None)
            elif error.code == "bridge_error":
                done(None, ServerLost(error.message))
            else:
                done(None, BusError(error.message, code=error.code))

        stream, group, item = wanted.stream_name, wanted.group_id, wanted.id
        if item is None:
            function_id, data = "stream::list", msgspec.json.encode(GroupRequest(stream, group))
        else:
            function_id, data = "stream::get", msgspec.json.encode(ItemRequest(stream, group, item))
        self.ask(None, function_id, data, answered)
