"""The connections to RabbitMQ: one to take jobs, one to publish.

They are two, since the server does not read at all from a connection that publishes while it has an
alarm: jobs that run must be acknowledged even then, or the alarm never ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from iii_engine.extras import need
from iii_engine.modules.queue.rabbitmq.failures import told
from iii_engine.modules.queue.rabbitmq.link import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    RECONNECT_SECONDS,
    Link,
    closed,
)
from iii_engine.modules.queue.rabbitmq.publisher import Publisher

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel
    from aio_pika.message import Message

T = TypeVar("T")


class RabbitConnection:
    """Comes back by itself when its server was lost."""

    def __init__(self, url: str) -> None:
        """Raises `MissingExtra`."""
        need("aio_pika", "an adapter 'rabbitmq'")
        self.url = url
        self._link = Link(url, lambda: None)
        self._publisher = Publisher(url)
        self._settled_at = 0.0

    async def open(self, restored: Callable[[], None]) -> None:
        """`restored` is called after each return. Raises `StoreError` that names the server."""

        def again() -> None:
            patience = RECONNECT_SECONDS[1] + CONNECT_SECONDS
            self._settled_at = asyncio.get_running_loop().time() + patience
            self._publisher.link.try_now()
            restored()

        await self._link.open(again)
        await self._publisher.link.open(self._link.try_now)

    async def close(self) -> None:
        await self._publisher.link.close()
        await self._link.close()

    @property
    def is_open(self) -> bool:
        return self._link.is_open and self._publisher.link.is_open

    @property
    def problem(self) -> str | None:
        """Why jobs cannot be stored now; None when they can."""
        return self._publisher.problem if self.is_open else f"{self.where} is lost"

    @property
    def settled(self) -> bool:
        """Whether other engines that live are here, too: all have had the time to come back."""
        return self.is_open and asyncio.get_running_loop().time() >= self._settled_at

    async def ask(self, request: Awaitable[T]) -> T:
        """The answer to a request. Raises `ServerLost`, or `StoreError` for a refusal."""
        with told(self.url):
            async with asyncio.timeout(ANSWER_SECONDS):
                return await request

    async def publish(
        self, message: Message, exchange: str, key: str, *, hurry: bool = False
    ) -> bool:
        """True when the message is durable, False when no queue gets it (`Publisher.publish`)."""
        return await self._publisher.publish(message, exchange, key, hurry=hurry)

    async def new_channel(self) -> AbstractChannel:
        """Raises `ServerLost` at once while the server is away."""
        return await self._link.new_channel()

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel for a few requests; a refused one closes it. What was got goes back."""
        channel = await self.new_channel()
        try:
            yield channel
        finally:
            await closed(channel.close())

    @property
    def where(self) -> str:
        return self._link.where
