"""The trigger type `stream`: calls functions when items change."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct

from iii_engine.core import fanout, stream_messages
from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition, Fanout
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import schema
from iii_sdk.errors import BusError
from iii_sdk.protocol import is_null

C = TypeVar("C", bound=Condition)

#: Stream, group and item that a trigger wants; None stands for any.
Place: TypeAlias = tuple[str | None, str | None, str | None]


class StreamConfig(Condition):
    """Which items: exact names; an absent or empty one stands for any."""

    #: Of which stream.
    stream_name: str | None = None
    #: Of which group.
    group_id: str | None = None
    #: Which item.
    item_id: str | None = None


class ItemChange(Struct):
    """The new value, or the old one of what was deleted."""

    #: What happened.
    type: Literal["create", "update", "delete"]
    #: The value.
    data: Any


class StreamEvent(Struct, rename="camel"):
    """What a handler gets; the time is in milliseconds since 1970."""

    #: The same for every event.
    type: Literal["stream"]
    #: When it happened.
    timestamp: int
    #: The stream.
    stream_name: str
    #: The group in it.
    group_id: str
    #: The item in the group.
    id: str
    #: What happened to it.
    event: ItemChange


class StreamTriggers:
    """The triggers of the type, found by what they want."""

    def __init__(self, engine: Engine) -> None:
        self.fanout = Fanout(engine)
        self._tracing = engine.tracing
        self._wanted: dict[Place, dict[Trigger, None]] = {}
        self._place: dict[Trigger, Place] = {}
        self.kind = TriggerType(
            "stream",
            "Calls a function when an item of a stream is created, updated or deleted",
            schema(StreamConfig),
            schema(StreamEvent),
            bind=self._bind,
            unbind=self._unbind,
        )

    def _bind(self, trigger: Trigger) -> None:
        config = read_config(trigger.config, StreamConfig)
        place = (config.stream_name or None, config.group_id or None, config.item_id or None)
        self._place[trigger] = place
        self._wanted.setdefault(place, {})[trigger] = None
        self.fanout.add(trigger, config.function_id)

    def _unbind(self, trigger: Trigger) -> None:
        place = self._place.pop(trigger, None)
        if place is None:
            return
        del self._wanted[place][trigger]
        if not self._wanted[place]:
            del self._wanted[place]
        self.fanout.remove(trigger)

    def matching(self, event: stream_messages.Event) -> list[Trigger]:
        """Who wants this event."""
        wanted = self._wanted
        if not wanted or not event.change:
            return []
        places = product((event.stream, None), (event.group, None), (event.item, None))
        return [trigger for place in places for trigger in wanted.get(place, ())]

    def deliver(
        self, triggers: list[Trigger], event: stream_messages.Event, message: bytes
    ) -> None:
        """Call the functions; those of one item get its events one after another."""
        if not triggers:
            return
        item = f"{len(event.stream)}/{len(event.group)}/{event.stream}/{event.group}/{event.item}"
        span = self._tracing.start("stream_triggers", parent=event.traceparent)
        delivered = fanout.Event(item, message, span.traceparent, event.baggage)
        for trigger in triggers:
            self.fanout.deliver(trigger, delivered)
        span.end()


def read_config(config: Raw, kind: type[C]) -> C:
    """Raises `BusError` that names the wrong field."""
    try:
        return msgspec.json.decode(b"{}" if is_null(config) else config, type=kind)
    except msgspec.DecodeError as error:
        raise BusError(f"config of a stream trigger: {error}", code="invalid_config") from None
