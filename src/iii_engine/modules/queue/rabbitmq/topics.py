"""Topics in RabbitMQ: an exchange that copies what is published to a queue of each function."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from iii_engine.modules.queue.job import Job, QueueName
from iii_engine.modules.queue.rabbitmq.bindings import Bindings
from iii_engine.modules.queue.rabbitmq.connection import RabbitConnection
from iii_engine.modules.queue.rabbitmq.holders import Holders
from iii_engine.modules.queue.rabbitmq.kept import RabbitQueue
from iii_engine.modules.queue.rabbitmq.messages import copy_of, message_of
from iii_engine.modules.queue.rabbitmq.place import Place
from iii_engine.storage.base import StoreError

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage

#: Seconds between looks whether nobody here gets jobs of a queue any more.
LOOK_SECONDS: Final = 0.05


class Topics:
    """Methods raise `BadName`, `StoreError` and `ServerLost`."""

    def __init__(
        self,
        connection: RabbitConnection,
        bindings: Bindings,
        place: Callable[[QueueName], Place],
        holders: Holders,
        now_ms: Callable[[], int],
    ) -> None:
        self._connection = connection
        self._bindings = bindings
        self._place = place
        self._now_ms = now_ms
        self._holders = holders
        self._known: set[str] = set()  # there is an exchange
        self._changing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def forget(self) -> None:
        """The server may be another one now."""
        self._known.clear()

    def _queue(self, topic: str, function_id: str = "") -> RabbitQueue:
        return self._place(QueueName(topic, True, function_id)).queue

    async def publish(self, topic: str, job: Job) -> bool:
        """Whether it was stored for the first function, as there was none."""
        first = self._queue(topic)
        message, exchange = message_of(job), first.names.fanout
        async with self._changing[topic]:
            if topic not in self._known:
                await first.ensure_topic()
                self._known.add(topic)
        try:
            reached = await self._connection.publish(message, exchange, "", hurry=True)
        except StoreError:
            self._known.discard(topic)
            raise
        if not reached:
            self._bindings.put((topic, ""), bound=False)
            await first.append(message, hurry=True)
        return not reached

    async def settle(self, topic: str) -> None:
        """Publish anew what was stored while somebody subscribed."""
        first = self._queue(topic)

        async def give(message: AbstractIncomingMessage) -> bool:
            return await self._connection.publish(copy_of(message), first.names.fanout, "")

        async with self._changing[topic]:
            if (topic, "") in self._bindings and await first.empty(give):
                self._bindings.remove((topic, ""))

    async def bind(self, topic: str, function_id: str) -> None:
        queue, first = self._queue(topic, function_id), self._queue(topic)

        async def give(message: AbstractIncomingMessage) -> bool:
            await queue.append(copy_of(message))
            return True

        async with self._changing[topic]:
            if (topic, function_id) not in self._bindings.held:
                return
            await self._holders.hold(queue.names.holders)
            await queue.bind()
            self._bindings.put((topic, function_id), bound=True)
            if await first.exists():
                await first.empty(give)
                self._bindings.remove((topic, ""))

    async def unbind(self, topic: str, function_id: str, reason: str) -> bool:
        """Whether no engine wants it. While one does, it stays as it is."""
        binding, place = (topic, function_id), self._place(QueueName(topic, True, function_id))
        while not (place.intake.released and self._connection.settled):
            if binding in self._bindings.held:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        async with self._changing[topic]:
            if binding in self._bindings.held:
                return False
            holders = place.queue.names.holders
            await self._holders.release(holders)
            wanted = partial(self._holders.count, holders)
            ended = await place.queue.remove(reason, self._now_ms(), wanted)
            if ended:
                self._bindings.put(binding, bound=False)
            return ended
