"""The trigger type `durable:subscriber`: which functions consume which topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from iii_engine.core.engine import Engine
from iii_engine.core.sessions import Status
from iii_engine.core.timers import Timer
from iii_engine.core.triggers import Trigger
from iii_engine.modules.queue.broker import EXPIRED, REMOVED, Broker
from iii_engine.modules.queue.consumer import Consumer, Target
from iii_engine.modules.queue.job import QueueName
from iii_engine.modules.queue.options import TopicDefaults
from iii_engine.modules.queue.ownership import Ownership
from iii_engine.modules.queue.settings import Settings
from iii_engine.modules.queue.subscription import SubscriberConfig, read_config, subscriber_type

#: Seconds between looks for subscriptions of other engines: theirs may be gone for good.
LOOK_SECONDS: Final = 3600.0


class Subscriber:
    """A function of a topic with its triggers, newest last; the newest says how jobs are handled.

    Without a trigger its worker is away, and `timer` waits for the end of the binding.
    """

    def __init__(self, queue: QueueName, consumer: Consumer) -> None:
        self.queue = queue
        self.consumer = consumer
        self.ownership = Ownership(known=False)
        self.triggers: dict[Trigger, tuple[Settings, Target]] = {}
        self.timer: Timer | None = None


class Subscribers:
    """Binds triggers, and keeps bindings whose workers are away."""

    def __init__(
        self,
        engine: Engine,
        broker: Broker,
        defaults: TopicDefaults,
        make: Callable[[QueueName, Settings], Consumer],
        leave: Callable[[Consumer], None],
    ) -> None:
        """`leave` gets the consumers that end, whose jobs may run on."""
        self._engine = engine
        self._broker = broker
        self._make = make
        self._leave = leave
        self.defaults = defaults
        self._all: dict[QueueName, Subscriber] = {}
        self._looking: Timer | None = None
        self.kind = subscriber_type(self._bind, self._unbind)

    def open(self) -> None:
        """Wait for the workers of an earlier engine, and for those of other engines."""
        for queue in self._broker.bindings():
            if queue not in self._all:
                self._await_return(self._subscriber(queue, Settings()))
        if self._broker.shared:
            self._looking = self._engine.timers.after(LOOK_SECONDS, self.open)

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(self._all.values())

    def get(self, queue: QueueName) -> Subscriber | None:
        return self._all.get(queue)

    def change(self, defaults: TopicDefaults) -> None:
        """Other defaults, also for the triggers that are bound."""
        self.defaults = defaults
        for subscriber in self._all.values():
            for trigger in subscriber.triggers:
                _, settings, target = self._read(trigger)
                subscriber.triggers[trigger] = (settings, target)
            self._apply(subscriber)

    def _read(self, trigger: Trigger) -> tuple[SubscriberConfig, Settings, Target]:
        config, queue_config = read_config(trigger.config)
        target = Target(trigger.function_id, config.function_id, trigger.metadata)
        return config, queue_config.settings(self.defaults), target

    def _subscriber(self, queue: QueueName, settings: Settings) -> Subscriber:
        found = self._all.get(queue)
        if found is None:
            found = self._all[queue] = Subscriber(queue, self._make(queue, settings))
        return found

    def _bind(self, trigger: Trigger) -> None:
        config, settings, target = self._read(trigger)
        queue = QueueName(config.topic, topic=True, function_id=trigger.function_id)
        self._check(queue, trigger)
        self._broker.bind(config.topic, trigger.function_id, settings)
        subscriber = self._subscriber(queue, settings)
        subscriber.triggers[trigger] = (settings, target)
        subscriber.ownership.take(trigger)
        if subscriber.timer is not None:
            subscriber.timer.cancel()
            subscriber.timer = None
        self._apply(subscriber)
        subscriber.consumer.open()

    def _check(self, queue: QueueName, trigger: Trigger) -> None:
        """Raises `Forbidden` when the subscription is another party's."""
        there = self._all.get(queue)
        if there is not None:
            there.ownership.check(trigger)
        elif trigger.access is not None and queue in self._broker.bindings():
            Ownership(known=False).check(trigger)  # another engine's

    def _apply(self, subscriber: Subscriber) -> None:
        """What the newest trigger says counts."""
        if subscriber.triggers:
            settings, target = subscriber.triggers[next(reversed(subscriber.triggers))]
            subscriber.consumer.change(settings, target)

    def _unbind(self, trigger: Trigger) -> None:
        config, _ = read_config(trigger.config)
        queue = QueueName(config.topic, topic=True, function_id=trigger.function_id)
        subscriber = self._all.get(queue)
        if subscriber is None or subscriber.triggers.pop(trigger, None) is None:
            return
        if subscriber.triggers:
            subscriber.ownership.take(next(reversed(subscriber.triggers)))
            self._apply(subscriber)
            return
        subscriber.consumer.close()
        if trigger.owner is not None and trigger.owner.status is Status.GONE:
            self._await_return(subscriber)
        else:  # the same trigger may be bound anew in a moment, with another config
            self._end_after(subscriber, 0, REMOVED)

    def _await_return(self, subscriber: Subscriber) -> None:
        self._end_after(subscriber, self.defaults.binding_ttl_seconds, EXPIRED)

    def _end_after(self, subscriber: Subscriber, seconds: float, reason: str) -> None:
        def end() -> None:
            if not subscriber.triggers:
                if self._all.pop(subscriber.queue, None) is not None:
                    self._leave(subscriber.consumer)
                self._broker.unbind(subscriber.queue.name, subscriber.queue.function_id, reason)

        subscriber.timer = self._engine.timers.after(seconds, end)

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        for subscriber in self._all.values():
            subscriber.consumer.close()
            if subscriber.timer is not None:
                subscriber.timer.cancel()
