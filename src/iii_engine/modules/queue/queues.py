"""The queues that people see: named ones and topics, with who consumes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import inf

from iii_engine.core.engine import Engine
from iii_engine.modules.queue.broker import Broker
from iii_engine.modules.queue.consumer import Consumer
from iii_engine.modules.queue.enqueuing import Enqueuing
from iii_engine.modules.queue.job import Lease, QueueName
from iii_engine.modules.queue.journal import Soon
from iii_engine.modules.queue.leftovers import Leftovers
from iii_engine.modules.queue.options import QueueConfig, TopicDefaults
from iii_engine.modules.queue.pauses import Pauses
from iii_engine.modules.queue.settings import Settings
from iii_engine.modules.queue.subscribers import Subscribers


class Queues:
    """All queues of one broker. Named ones consume by themselves, topics by subscriptions."""

    def __init__(self, engine: Engine, broker: Broker, pauses: Pauses, soon: Soon) -> None:
        self._engine = engine
        self.soon = soon
        self.broker = broker
        broker.lost = self._lost
        self.pauses = pauses
        pauses.changed = self._pause
        self.enqueuing = Enqueuing(broker, engine.tracing, {})
        self.subscribers = Subscribers(engine, broker, TopicDefaults(), self._consumer, self._leave)
        self.leftovers = Leftovers(broker)
        self._named: dict[str, Consumer] = {}
        #: Those that take no more, but have jobs that run: a heartbeat must find them.
        self._leaving: list[Consumer] = []

    def configure(self, queues: dict[str, QueueConfig]) -> None:
        """Consume these named queues from now on, and no others."""
        self.enqueuing.queues = queues
        self.leftovers.change(queues, self._named)
        for name in [name for name in self._named if name not in queues]:
            consumer = self._named.pop(name)
            consumer.close()
            self._leave(consumer)
        for name, config in queues.items():
            found = self._named.get(name)
            if found is None:
                self._named[name] = self._consumer(QueueName(name), config.settings)
                self._named[name].open()
            else:
                found.absent.patience_seconds = self.subscribers.defaults.binding_ttl_seconds
                found.change(config.settings)

    def _consumer(self, queue: QueueName, settings: Settings) -> Consumer:
        consumer = self._returning(queue)
        if consumer is None:
            consumer = Consumer(self._engine, self.broker, queue, settings, self.soon)
        consumer.change(settings)
        consumer.paused = queue.name in self.pauses
        consumer.absent.patience_seconds = self.subscribers.defaults.binding_ttl_seconds
        return consumer

    def _leave(self, consumer: Consumer) -> None:
        self._leaving = [each for each in self._leaving if each.busy]
        self._leaving.append(consumer)

    def _returning(self, queue: QueueName) -> Consumer | None:
        """The one that had the queue until a moment ago: what runs of it counts."""
        found = next((each for each in self._leaving if each.queue == queue), None)
        if found is not None:
            self._leaving.remove(found)
        return found

    def _lost(self, lease: Lease) -> None:
        for consumer in list(self.consumers()):
            consumer.lost(lease)

    def _pause(self, name: str, paused: bool) -> None:
        for consumer in self.consumers(name):
            consumer.pause(paused)

    def consumers(self, name: str | None = None) -> Iterator[Consumer]:
        """All, or those behind a name."""
        for consumer in self._named.values():
            if name is None or consumer.queue.name == name:
                yield consumer
        for subscriber in self.subscribers:
            if name is None or (name not in self._named and subscriber.queue.name == name):
                yield subscriber.consumer
        for consumer in self._leaving:
            if consumer.busy and name in (None, consumer.queue.name):
                yield consumer

    def behind(self, name: str) -> list[QueueName]:
        """What a name stands for: the named queue, or else all functions of the topic."""
        if name in self._named:
            return [QueueName(name)]
        found = [queue for queue in self.broker.topic_queues() if queue.name == name]
        return [*found, QueueName(name)] if name in self.leftovers.names() else found

    def all_behind(self, most_topics: float = inf) -> dict[str, list[QueueName]]:
        """What each name stands for: named queues, topics, queues that are configured no more."""
        found = {name: [QueueName(name)] for name in self._named}
        most = len(found) + most_topics
        for queue in self.broker.topic_queues():
            if queue.name not in self._named and (queue.name in found or len(found) < most):
                found.setdefault(queue.name, []).append(queue)
        for name in self.leftovers.names():
            found.setdefault(name, []).append(QueueName(name))
        return found

    def knows(self, name: str) -> bool:
        """Whether there is such a queue or topic, or was when it was paused."""
        return name in self.pauses or name in self.all_behind()

    def bound(self) -> set[str]:
        """Named queues, and topics that somebody has subscribed to."""
        return {*self._named, *(queue.name for queue in self.broker.bindings())}

    def consumer_counts(self) -> dict[str, int]:
        """The concurrency of each named queue, the triggers of each topic that has some."""
        counts = Counter[str]()
        for subscriber in self.subscribers:
            counts[subscriber.queue.name] += len(subscriber.triggers)
        return counts | {name: each.settings.concurrency for name, each in self._named.items()}

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

    def abandon(self) -> None:
        """What runs does not count here any more: its jobs are taken again, maybe elsewhere."""
        for consumer in self.consumers():
            consumer.abandon()
