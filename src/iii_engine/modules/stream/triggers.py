"""The trigger type `stream`: calls functions when items change."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from iii_engine.core import fanout, stream_messages
from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition
from iii_engine.core.placed_triggers import PlacedTriggers, read_config
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import schema

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
        self._places: PlacedTriggers[Place] = PlacedTriggers(engine, _place_of)
        self._tracing = engine.tracing
        self.kind = TriggerType(
            "stream",
            "Calls a function when an item of a stream is created, updated or deleted",
            schema(StreamConfig),
            schema(StreamEvent),
            bind=self._places.bind,
            unbind=self._places.unbind,
        )

    def matching(self, event: stream_messages.Event) -> list[Trigger]:
        """Who wants this event."""
        if not self._places or not event.change:
            return []
        return self._places.wanting(
            product((event.stream, None), (event.group, None), (event.item, None))
        )

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
            self._places.fanout.deliver(trigger, delivered)
        span.end()


def _place_of(trigger: Trigger) -> tuple[Place, str | None]:
    config = read_config(trigger.config, StreamConfig, "stream")
    place = (config.stream_name or None, config.group_id or None, config.item_id or None)
    return place, config.function_id
