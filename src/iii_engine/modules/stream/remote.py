"""The adapter `bridge`: the streams of another engine.

Changes are heard of from the other engine alone, also those that were made through this one, each
once. What it does not know travels by its topic `stream.events`: events that were sent, and changes
of streams that a worker keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.engine import Engine
from iii_engine.core.stream_messages import Event, Wanted, read_event
from iii_engine.modules.bridge.remote import TIMEOUT_MS, RemoteModule
from iii_engine.modules.stream.hub import Hub
from iii_engine.modules.stream.requests import GroupRequest, ItemRequest, SendRequest
from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody, InvokeFunction

TOPIC: Final = "stream.events"


class _Sent(Struct):
    type: str
    data: Raw


class _SentBody(Struct):
    event: _Sent


class RemoteStreams(RemoteModule):
    """Brings the events of the other engine to the hub, and those of the hub to all engines."""

    def __init__(self, engine: Engine, url: str, hub: Hub) -> None:
        super().__init__(engine, url)
        self._hub = hub
        hub.publish = self._publish
        hub.stored = self._stored
        self.hear("stream", b"{}", self._on_event)
        self.hear("subscribe", msgspec.json.encode({"topic": TOPIC}), self._on_event)

    def _on_event(self, message: InvokeFunction) -> None:
        self._hub.deliver(read_event(message.data, message.traceparent, message.baggage))

    def _publish(self, event: Event) -> None:
        """To every engine with this adapter; the other engine's own clients get what was sent."""
        message = b'{"topic":"%b","data":%b}' % (TOPIC.encode(), event.message)
        self.link.send(event, "publish", message)
        if not event.change:
            sent = msgspec.json.decode(event.body, type=_SentBody).event
            request = SendRequest(event.stream, event.group, sent.type, sent.data, event.item)
            self.link.send(event, "stream::send", msgspec.json.encode(request))

    def _stored(
        self, wanted: Wanted, done: Callable[[bytes | None, BaseException | None], None]
    ) -> None:
        """What a new subscription begins with."""

        def answered(result: Raw, error: ErrorBody | None) -> None:
            if error is None:
                done(bytes(result), None)
            else:
                done(None, BusError(error.message, code=error.code))

        stream, group, item = wanted.stream_name, wanted.group_id, wanted.id
        if item is None:
            function_id, data = "stream::list", msgspec.json.encode(GroupRequest(stream, group))
        else:
            function_id, data = "stream::get", msgspec.json.encode(ItemRequest(stream, group, item))
        self.link.request(None, function_id, data, TIMEOUT_MS, answered)
