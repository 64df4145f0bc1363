"""Which engines want a queue: each consumes another one, to which nothing comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from iii_engine.modules.queue.rabbitmq.connection import RabbitConnection

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue


class Holders:
    """The server counts the consumers of such a queue, and forgets those of an engine that dies.

    Methods raise `StoreError` and `ServerLost`.
    """

    def __init__(self, connection: RabbitConnection) -> None:
        self._connection = connection
        self._changing = asyncio.Lock()
        self._names: set[str] = set()
        self._channel: AbstractChannel | None = None
        self._consumed: dict[str, tuple[AbstractQueue, str]] = {}

    async def hold(self, name: str) -> None:
        """This engine wants it. All are held anew when their channel was closed."""
        self._names.add(name)
        async with self._changing:
            if self._channel is None or self._channel.is_closed:
                self._consumed.clear()
                self._channel = await self._connection.new_channel()
            for each in self._names - self._consumed.keys():
                queue = await self._connection.ask(
                    self._channel.declare_queue(each, auto_delete=True)
                )
                tag = await self._connection.ask(queue.consume(_ignore))
                self._consumed[each] = queue, tag

    async def release(self, name: str) -> None:
        """This engine does not want it."""
        self._names.discard(name)
        async with self._changing:
            if self._channel is None or self._channel.is_closed:
                return  # the server knows
            if name in self._consumed:
                queue, tag = self._consumed[name]
                await self._connection.ask(queue.cancel(tag))
                del self._consumed[name]

    async def count(self, name: str) -> int:
        """How many engines want it."""
        from aio_pika.exceptions import ChannelNotFoundEntity

        async def count(channel: AbstractChannel) -> int:
            try:
                queue = await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:  # it went with its last consumer
                return 0
            return queue.declaration_result.consumer_count or 0

        async with self._connection.channel() as channel:
            return await self._connection.ask(count(channel))


async def _ignore(message: AbstractIncomingMessage) -> None:
    """Nothing comes."""
