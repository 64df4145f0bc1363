"""The trigger type `subscribe`: calls functions with what is published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition, Event, Fanout
from iii_engine.core.placed_triggers import read_config
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import schema
from iii_engine.modules.pubsub.topics import Topics
from iii_engine.net.broadcast import Message
from iii_sdk.errors import BusError
from iii_sdk.protocol import Id


class SubscribeConfig(Condition, kw_only=True):
    """Which topic; a `*` at its end stands for any rest."""

    topic: Id


class Subscriptions:
    """The triggers of the type. A message reaches each of them for itself, at the same time."""

    #: Told the topic or pattern that the first trigger wants, and that none wants any more.
    wanted: Callable[[str], None] | None = None
    unwanted: Callable[[str], None] | None = None
    #: Whether a topic is what engines tell each other at the server that carries the messages.
    reserved: Callable[[str], bool] = staticmethod(lambda topic: False)

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

    def check(self, topic: str) -> None:
        """Raises `BusError` for a topic that is not for workers."""
        if self.reserved(topic):
            raise BusError(f"Topic {topic} is the engine's own", code="topic_reserved")

    def deliver(self, topic: str, data: bytes, traceparent: str | None, baggage: str | None) -> int:
        """Hand a message to all who want its topic now; how many those are."""
        triggers = list(self.topics.wanting(topic))
        self._deliver(triggers, Event(None, data, traceparent, baggage))
        return len(triggers)

    def heard(self, pattern: str, message: Message) -> None:
        """Hand a message to those who subscribed to just this topic or pattern."""
        if self.reserved(message.topic):
            return  # the pattern is wide
        event = Event(None, message.data, message.traceparent, message.baggage)
        self._deliver(self.topics.of(pattern), event)

    def _deliver(self, triggers: list[Trigger], event: Event) -> None:
        for trigger in triggers:
            self.fanout.deliver(trigger, event)

    def _bind(self, trigger: Trigger) -> None:
        config = _config_of(trigger)
        self.check(config.topic)
        self._topic_of[trigger] = config.topic
        self.topics.add(config.topic, trigger)
        if self.wanted is not None and len(self.topics.of(config.topic)) == 1:
            self.wanted(config.topic)
        self.fanout.add(trigger, config.function_id)

    def _unbind(self, trigger: Trigger) -> None:
        topic = self._topic_of.pop(trigger, None)
        if topic is not None:
            self.topics.remove(topic, trigger)
            if self.unwanted is not None and not self.topics.of(topic):
                self.unwanted(topic)
            self.fanout.remove(trigger)


def _config_of(trigger: Trigger) -> SubscribeConfig:
    """Raises `BusError` that names the wrong field."""
    config = read_config(trigger.config, SubscribeConfig, "subscribe")
    if not config.topic:
        raise BusError("config of a subscribe trigger: $.topic is empty", code="topic_not_set")
    return config
