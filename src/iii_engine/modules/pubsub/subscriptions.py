"""The trigger type `subscribe`: calls functions with what is published."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition, Event, Fanout
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import schema
from iii_engine.modules.pubsub.topics import Topics
from iii_sdk.errors import BusError
from iii_sdk.protocol import is_null


class SubscribeConfig(Condition, kw_only=True):
    """Which topic; a `*` at its end stands for any rest."""

    topic: str


class Subscriptions:
    """The triggers of the type. A message reaches each of them for itself, at the same time."""

    def __init__(self, engine: Engine) -> None:
        self.fanout = Fanout(engine)
        self.topics = Topics()
        self._topic_of: dict[Trigger, str] = {}
        self.kind = TriggerType(
            "subscribe",
            "Calls a function with the data of every message of a topic",
            schema(SubscribeConfig),
            schema(Any),
            bind=self._bind,
            unbind=self._unbind,
        )

    def deliver(self, topic: str, data: bytes, traceparent: str | None, baggage: str | None) -> int:
        """Hand a message to all who want its topic now; how many those are."""
        triggers = list(self.topics.wanting(topic))
        event = Event(None, data, traceparent, baggage)
        for trigger in triggers:
            self.fanout.deliver(trigger, event)
        return len(triggers)

    def _bind(self, trigger: Trigger) -> None:
        config = read_config(trigger.config)
        self._topic_of[trigger] = config.topic
        self.topics.add(config.topic, trigger)
        self.fanout.add(trigger, config.function_id)

    def _unbind(self, trigger: Trigger) -> None:
        topic = self._topic_of.pop(trigger, None)
        if topic is not None:
            self.topics.remove(topic, trigger)
            self.fanout.remove(trigger)


def read_config(config: Raw) -> SubscribeConfig:
    """Raises `BusError` that names the wrong field."""
    try:
        read = msgspec.json.decode(b"{}" if is_null(config) else config, type=SubscribeConfig)
    except msgspec.DecodeError as error:
        raise BusError(f"config of a subscribe trigger: {error}", code="invalid_config") from None
    if not read.topic:
        raise BusError("config of a subscribe trigger: $.topic is empty", code="topic_not_set")
    return read
