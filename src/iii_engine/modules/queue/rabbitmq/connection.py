"""The connection to RabbitMQ, and its failures in our words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from iii_engine.extras import need
from iii_engine.net.server_url import CONNECT_SECONDS, masked, no_address, reason
from iii_engine.storage.base import ServerLost, StoreError
from iii_engine.tasks import end_tasks

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection
    from aio_pika.message import Message

log = logging.getLogger("iii.rabbitmq")

T = TypeVar("T")

#: Seconds without an answer after which a request is given up.
ANSWER_SECONDS: Final = 5.0
#: Seconds between the first attempts to come back to a server that was lost, and the most.
RECONNECT_SECONDS: Final = (0.1, 5.0)
#: Seconds between heartbeats, where the address does not say (`?heartbeat=`).
HEARTBEAT: Final = 10


class RabbitConnection:
    """A connection that comes back by itself when its server was lost."""

    def __init__(self, url: str) -> None:
        """Raises `MissingExtra`."""
        need("aio_pika", "an adapter 'rabbitmq'")
        self.url = url
        self._connection: AbstractConnection | None = None
        self._publisher: AbstractChannel | None = None
        self._publishing = asyncio.Lock()
        self._supervisor: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._settled_at = 0.0

    async def open(self, restored: Callable[[], None]) -> None:
        """`restored` is called after each return. Raises `StoreError` that names the server."""
        await self._connect()
        self._supervisor = asyncio.create_task(self._supervise(restored))

    async def close(self) -> None:
        if self._supervisor is not None:
            await end_tasks([self._supervisor])
        connection, self._connection = self._connection, None
        if connection is not None:
            await _closed(connection.close())

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._lost.is_set()

    @property
    def settled(self) -> bool:
        """Whether other engines that live are here, too: all have had the time to come back."""
        return self.is_open and asyncio.get_running_loop().time() >= self._settled_at

    async def ask(self, request: Awaitable[T]) -> T:
        """The answer to a request. Raises `ServerLost`, or `StoreError` for a refusal."""
        with told(self.url):
            async with asyncio.timeout(ANSWER_SECONDS):
                return await request

    async def publish(self, message: Message, exchange: str, key: str) -> bool:
        """True when the message is durable, False when no queue gets it."""
        from pamqp.commands import Basic

        channel = await self._publishing_channel()
        target = (
            await channel.get_exchange(exchange, ensure=False)
            if exchange
            else channel.default_exchange
        )
        answer = await self.ask(target.publish(message, key, mandatory=True))
        return isinstance(answer, Basic.Ack)

    async def _publishing_channel(self) -> AbstractChannel:
        """One for all, opened anew when the server has closed it for a wrong request."""
        async with self._publishing:
            if self._publisher is None or self._publisher.is_closed:
                self._publisher = await self.new_channel()
            return self._publisher

    async def new_channel(self) -> AbstractChannel:
        """Raises `ServerLost` at once while the server is away."""
        if self._connection is None or self._lost.is_set():
            raise ServerLost(f"{self.where} cannot be reached: the connection is lost")
        with told(self.url):
            channel = self._connection.channel()
        await self.ask(channel.initialize())
        return channel

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel for a few requests; a refused one closes it. What was got goes back."""
        channel = await self.new_channel()
        try:
            yield channel
        finally:
            await _closed(channel.close())

    @property
    def where(self) -> str:
        return f"RabbitMQ at {masked(self.url)}"

    async def _connect(self) -> None:
        import aio_pika

        with told(self.url):
            async with asyncio.timeout(CONNECT_SECONDS):
                self._connection = await aio_pika.connect(
                    _with_heartbeat(self.url), client_properties={"connection_name": "iii"}
                )
        self._lost.clear()
        self._connection.close_callbacks.add(self._on_close)

    def _on_close(self, connection: object, error: BaseException | None) -> None:
        if connection is self._connection:
            self._lost.set()

    async def _supervise(self, restored: Callable[[], None]) -> None:
        while True:
            await self._lost.wait()
            log.warning("%s: the connection is lost", self.where)
            pause = RECONNECT_SECONDS[0]
            while self._lost.is_set():
                await asyncio.sleep(pause)
                pause = min(2 * pause, RECONNECT_SECONDS[1])
                try:
                    await self._connect()
                except StoreError as error:
                    log.debug("%s", error)
            log.info("%s: connected again", self.where)
            patience = RECONNECT_SECONDS[1] + CONNECT_SECONDS
            self._settled_at = asyncio.get_running_loop().time() + patience
            restored()


def _with_heartbeat(url: str) -> str:
    if "heartbeat=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}heartbeat={HEARTBEAT}"


async def _closed(closing: Awaitable[object]) -> None:
    """End something that may have ended."""
    from aio_pika.exceptions import CONNECTION_EXCEPTIONS

    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await closing
    except (*CONNECTION_EXCEPTIONS, TimeoutError) as error:
        log.debug("closing: %r", error)


@contextmanager
def told(url: str) -> Iterator[None]:
    """Failures of RabbitMQ as `ServerLost` or `StoreError` that name the server."""
    from aio_pika import exceptions as pika

    where = f"RabbitMQ at {masked(url)}"
    try:
        yield
    except (pika.AuthenticationError, pika.ProbableAuthenticationError) as error:
        raise StoreError(f"{where} refuses the login: {reason(url, error)}") from None
    except pika.DeliveryError:
        raise StoreError(f"{where} has not stored a message") from None
    except pika.ChannelClosed as error:
        raise StoreError(f"{where}: {error}") from None
    except (pika.AMQPError, pika.ChannelInvalidStateError, TimeoutError, OSError) as error:
        what = reason(url, error)
        if "ACCESS_REFUSED" in str(error):
            raise StoreError(f"{where} refuses the login: {what}") from None
        raise ServerLost(f"{where} cannot be reached: {what}") from None
    except ValueError:
        raise StoreError(no_address(url, "RabbitMQ")) from None
