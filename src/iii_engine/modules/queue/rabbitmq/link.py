"""One connection to RabbitMQ, which comes back by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from iii_engine.modules.queue.rabbitmq.failures import told
from iii_engine.net.server_url import masked, no_address
from iii_engine.storage.base import ServerLost, StoreError
from iii_engine.tasks import end_tasks

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection
    from aiormq.abc import AbstractConnection as Underlay
    from pamqp.commands import Connection as Frames

log = logging.getLogger("iii.rabbitmq")

#: Seconds without an answer after which a request is given up.
ANSWER_SECONDS: Final = 5.0
#: Seconds in which a server has to answer a connection.
CONNECT_SECONDS: Final = 5.0
#: Seconds between the first attempts to come back to a server that was lost, and the most.
RECONNECT_SECONDS: Final = (0.1, 2.0)
#: Seconds between heartbeats, where the address does not say (`?heartbeat=`).
HEARTBEAT: Final = 10
#: The library's own handler of `connection.blocked`: it tells nobody else the reason.
BLOCKED_HANDLER: Final = "_Connection__handle_connection_blocked"


class Link:
    """Methods raise `ServerLost`, or `StoreError` for a refusal."""

    def __init__(self, url: str, alarmed: Callable[[], None]) -> None:
        """`alarmed` is called when the server says that it takes no messages."""
        self.where = f"RabbitMQ at {masked(url)}"
        self._url = url
        self._connection: AbstractConnection | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._now = asyncio.Event()
        self._alarmed = alarmed
        self._reason = ""

    async def open(self, restored: Callable[[], None]) -> None:
        """`restored` is called after each return."""
        await self._connect()
        self._supervisor = asyncio.create_task(self._supervise(restored))

    async def close(self) -> None:
        if self._supervisor is not None:
            await end_tasks([self._supervisor])
        connection, self._connection = self._connection, None
        if connection is not None:
            await closed(connection.close())

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._lost.is_set()

    async def new_channel(self) -> AbstractChannel:
        """Raises at once while the server is away."""
        self._check()
        assert self._connection is not None
        with told(self._url):
            channel = self._connection.channel()
            async with asyncio.timeout(ANSWER_SECONDS):
                await channel.initialize()
        return channel

    def _check(self) -> None:
        if not self.is_open:
            raise ServerLost(f"{self.where} cannot be reached: the connection is lost")

    # -- alarms ----------------------------------------------------------------------------------

    @property
    def blocked(self) -> str | None:
        """Why the server takes no messages now, though it is there; None when it takes them."""
        underlay = self._underlay()
        if underlay is None or _is_ready(underlay):
            return None
        return f"{self.where} takes no messages now: {self._reason or 'it has an alarm'}"

    async def taking(self) -> None:
        """Wait until the server takes messages."""
        while self.blocked is not None:
            underlay = self._underlay()
            assert underlay is not None
            ready = asyncio.ensure_future(underlay.ready())
            lost = asyncio.ensure_future(self._lost.wait())
            try:
                await asyncio.wait({ready, lost}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ready.cancel()
                lost.cancel()
        self._check()

    def _underlay(self) -> Underlay | None:
        if not self.is_open or self._connection is None or self._connection.transport is None:
            return None
        return self._connection.transport.connection

    def _learn_reasons(self) -> None:
        underlay = self._underlay()
        handle = getattr(underlay, BLOCKED_HANDLER, None)
        if underlay is None or handle is None:
            return

        async def blocked(frame: Frames.Blocked) -> None:
            self._reason = str(frame.reason)
            await handle(frame)
            self._alarmed()

        setattr(underlay, BLOCKED_HANDLER, blocked)

    # -- losses ----------------------------------------------------------------------------------

    async def _connect(self) -> None:
        import aio_pika

        with told(self._url):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    self._connection = await aio_pika.connect(
                        _with_heartbeat(self._url), client_properties={"connection_name": "iii"}
                    )
            except ValueError:
                raise StoreError(no_address(self._url, "RabbitMQ")) from None
        self._lost.clear()
        self._learn_reasons()
        self._connection.close_callbacks.add(self._on_close)
        underlay = self._underlay()
        if underlay is None or underlay.is_closed:  # before anybody listened
            self._lost.set()

    def _on_close(self, connection: object, error: BaseException | None) -> None:
        if connection is self._connection:
            self._lost.set()

    def try_now(self) -> None:
        """The server is known to be back: do not wait for the next attempt to connect."""
        self._now.set()

    async def _rest(self, seconds: float) -> None:
        self._now.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._now.wait()

    async def _supervise(self, restored: Callable[[], None]) -> None:
        while True:
            await self._lost.wait()
            log.warning("%s: the connection is lost", self.where)
            pause = RECONNECT_SECONDS[0]
            while self._lost.is_set():
                await self._rest(pause)
                pause = min(2 * pause, RECONNECT_SECONDS[1])
                try:
                    await self._connect()
                except StoreError as error:
                    log.debug("%s", error)
                except Exception:
                    log.exception("%s: cannot be connected to", self.where)
            log.info("%s: connected again", self.where)
            restored()


def _is_ready(underlay: Underlay) -> bool:
    """Whether it need not wait until it may send: that takes its first step, which is the last."""
    waiting = underlay.ready().__await__()
    try:
        next(waiting)
    except StopIteration:
        return True
    finally:
        waiting.close()
    return False


def _with_heartbeat(url: str) -> str:
    if "heartbeat=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}heartbeat={HEARTBEAT}"


async def closed(closing: Awaitable[object]) -> None:
    """End something that may have ended."""
    try:
        with told(""):
            async with asyncio.timeout(ANSWER_SECONDS):
                await closing
    except StoreError as error:
        log.debug("closing: %s", error)
