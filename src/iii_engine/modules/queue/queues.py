"""The queues that people see: named ones and topics, with who consumes them."""

from __future__ import annotations

from collections.abc import Iterator

from iii_engine.core.engine import Engine
from iii_engine.modules.queue.broker import Broker
from iii_engine.modules.queue.consumer import Consumer
from iii_engine.modules.queue.enqueuing import Enqueuing
from iii_engine.modules.queue.job import QueueName
from iii_engine.modules.queue.journal import Soon
from iii_engine.modules.queue.options import QueueConfig, TopicDefaults
from iii_engine.modules.queue.pauses import Pauses
from iii_engine.modules.queue.settings import Settings
from iii_engine.modules.queue.subscribers import Subscribers


class Queues:
    """All queues of one broker. Named ones consume by themselves, topics by subscriptions."""

    def __init__(self, engine: Engine, broker: Broker, pauses: Pauses, soon: Soon) -> None:
        self._engine = engine
        self._soon = soon
        self.broker = broker
        self.pauses = pauses
        self.enqueuing = Enqueuing(broker, engine.tracing, {})
        self.subscribers = Subscribers(engine, broker, TopicDefaults(), self._consumer)
        self._named: dict[str, Consumer] = {}

    def configure(self, queues: dict[str, QueueConfig]) -> None:
        """Consume these named queues from now on, and no others."""
        self.enqueuing.queues = queues
        for name in [name for name in self._named if name not in queues]:
            self._named.pop(name).close()
        for name, config in queues.items():
            consumer = self._named.get(name)
            if consumer is None:
                self._named[name] = self._consumer(QueueName(name), config.settings)
                self._named[name].open()
            else:
                consumer.change(config.settings)

    def _consumer(self, queue: QueueName, settings: Settings) -> Consumer:
        consumer = Consumer(self._engine, self.broker, queue, settings, self._soon)
        consumer.paused = queue.name in self.pauses
        return consumer

    def consumers(self, name: str | None = None) -> Iterator[Consumer]:
        """All, or those behind a name."""
        for consumer in self._named.values():
            if name is None or consumer.queue.name == name:
                yield consumer
        for subscriber in self.subscribers:
            if name is None or (name not in self._named and subscriber.queue.name == name):
                yield subscriber.consumer

    def is_named(self, name: str) -> bool:
        return name in self._named

    def behind(self, name: str) -> list[QueueName]:
        """What a name stands for: the named queue, or else all functions of the topic."""
        if name in self._named:
            return [QueueName(name)]
        return [queue for queue in self.broker.topic_queues() if queue.name == name]

    def all_behind(self) -> dict[str, list[QueueName]]:
        """What each of `names` stands for, and topics that nobody subscribes to (any more)."""
        found: dict[str, list[QueueName]] = {name: [] for name in self.names()}
        for queue in self.broker.topic_queues():
            if queue.name not in self._named:
                found.setdefault(queue.name, []).append(queue)
        for name in self._named:
            found[name] = [QueueName(name)]
        return found

    def names(self) -> list[str]:
        """Named queues, then topics that somebody has subscribed to."""
        topics = dict.fromkeys(queue.name for queue in self.broker.bindings())
        return [*self._named, *(topic for topic in topics if topic not in self._named)]

    def consumer_count(self, name: str) -> int:
        """The concurrency of a named queue, the triggers of a topic."""
        if name in self._named:
            return self._named[name].settings.concurrency
        return sum(
            len(subscriber.triggers)
            for subscriber in self.subscribers
            if subscriber.queue.name == name
        )

    @property
    def now_ms(self) -> int:
        return self._engine.clock.now_ns() // 1_000_000

    def running(self) -> int:
        """Jobs that run now."""
        return sum(len(consumer.running) for consumer in self.consumers())

    def close(self) -> None:
        """Take no more; what runs goes on."""
        for consumer in self._named.values():
            consumer.close()
        self.subscribers.close()
