"""One queue in RabbitMQ, and the one of its dead jobs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from iii_engine.modules.queue.job import DeadJob, Job, QueueName
from iii_engine.modules.queue.rabbitmq.connection import RabbitConnection
from iii_engine.modules.queue.rabbitmq.messages import dead_job, dead_message, dead_of, message_of
from iii_engine.modules.queue.rabbitmq.names import Names, names_of
from iii_engine.modules.queue.rabbitmq.waiting import EARLY_MS, Waiting
from iii_engine.modules.queue.settings import Settings
from iii_engine.storage.base import ServerLost, StoreError
from iii_engine.tasks import end_tasks

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
    from aio_pika.message import Message

log = logging.getLogger("iii.queue")

#: Seconds that others may look at dead jobs before this engine, and between its attempts.
PATIENCE_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.05


class RabbitQueue:
    """Methods raise `StoreError` and `ServerLost`."""

    def __init__(
        self,
        connection: RabbitConnection,
        waiting: Waiting,
        name: QueueName,
        prefix: str,
        new_id: Callable[[], str],
    ) -> None:
        """`new_id` is for messages of other programs. Raises `BadName`."""
        self.name = name
        self.names: Names = names_of(name, prefix)
        self.settings = Settings()
        self._connection = connection
        self._waiting = waiting
        self._new_id = new_id
        self._ready = False
        self._making = asyncio.Lock()
        self._grown = False  # there are more dead ones than when they were counted
        self._trimming: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()  # who looks through the dead ones has all of them

    def forget(self) -> None:
        """The server may be another one now."""
        self._ready = False

    async def ensure(self) -> None:
        """Create what is not there."""
        async with self._making:
            if self._ready:
                return
            names = self.names
            async with self._connection.channel() as channel:
                await self._declare(channel, names.queue, names.exchange, names.key)
                await self._declare(channel, names.dead, names.dead_exchange, names.dead_key)
            self._ready = True

    async def _exchange(self, channel: AbstractChannel, name: str, kind: str = "direct") -> None:
        await self._connection.ask(channel.declare_exchange(name, kind, durable=True))

    async def _declare(self, channel: AbstractChannel, name: str, exchange: str, key: str) -> None:
        ask = self._connection.ask
        queue = await ask(channel.declare_queue(name, durable=True))
        if exchange:
            await self._exchange(channel, exchange)
            await ask(queue.bind(exchange, key))

    # -- topics ----------------------------------------------------------------------------------

    async def ensure_topic(self) -> None:
        """Create the exchange on which its topic is published."""
        async with self._connection.channel() as channel:
            await self._exchange(channel, self.names.fanout, "fanout")

    async def bind(self) -> None:
        """Get copies of what is published on its topic."""
        await self.ensure()
        async with self._connection.channel() as channel:
            await self._declare_bound(channel)

    async def _declare_bound(self, channel: AbstractChannel) -> None:
        await self._exchange(channel, self.names.fanout, "fanout")
        queue = await self._connection.ask(channel.get_queue(self.names.queue, ensure=False))
        await self._connection.ask(queue.bind(self.names.fanout, ""))

    async def remove(self, reason: str, now_ms: int, wanted: Callable[[], Awaitable[int]]) -> bool:
        """No copies any more; what waits dies. False when somebody wants it, also meanwhile."""
        if await wanted():
            return False
        await self.ensure()
        async with self._connection.channel() as channel:
            ask = self._connection.ask
            queue = await ask(channel.get_queue(self.names.queue, ensure=False))
            await ask(queue.unbind(self.names.fanout, ""))
        if await wanted():  # who said so before that may have bound it before that, too
            await self.bind()
            return False

        async def bury(message: AbstractIncomingMessage) -> bool:
            if await wanted():
                return False
            await self.bury(dead_job(message, self._new_id(), reason, now_ms))
            return True

        return await self.empty(bury)

    async def exists(self) -> bool:
        return await self._count(self.names.queue) is not None

    async def empty(self, give: Callable[[AbstractIncomingMessage], Awaitable[bool]]) -> bool:
        """Give all messages that wait to somebody else; False when one was not wanted."""
        await self.ensure()
        async with self._connection.channel() as channel:
            ask = self._connection.ask
            queue = await ask(channel.get_queue(self.names.queue, ensure=False))
            while (message := await ask(queue.get(fail=False))) is not None:
                if not await give(message):
                    return False
                await ask(message.ack())
        return True

    # -- jobs ------------------------------------------------------------------------------------

    async def put(self, job: Job, now_ms: int, *, hurry: bool = False) -> None:
        """Store a job; it arrives when it is due."""
        pause_ms = job.process_at - now_ms
        if pause_ms > EARLY_MS:
            await self._waiting.put(self.name, job, pause_ms, hurry=hurry)
        else:
            await self.append(message_of(job), hurry=hurry)

    async def append(self, message: Message, *, hurry: bool = False) -> None:
        """Store a job, also one that is not due yet."""
        await self.ensure()
        await self._publish(message, self.names.exchange, self.names.key, hurry=hurry)

    async def _publish(
        self, message: Message, exchange: str, key: str, *, hurry: bool = False
    ) -> None:
        if not await self._connection.publish(message, exchange, key, hurry=hurry):
            self.forget()
            raise StoreError(f"{self._connection.where} has no queue for {self.name.text}")

    async def bury(self, dead: DeadJob) -> None:
        """Store a dead job; the oldest of too many goes."""
        await self.ensure()
        await self._publish(dead_message(dead), self.names.dead_exchange, self.names.dead_key)
        self._grown = True
        if self._trimming is None or self._trimming.done():
            self._trimming = asyncio.create_task(self._trim())

    async def _trim(self) -> None:
        """Apart from the burial, which would be repeated when this fails."""
        while self._grown:
            self._grown = False
            try:
                async with self._looking, self._connection.channel() as channel:
                    ask = self._connection.ask
                    queue = await ask(channel.declare_queue(self.names.dead, passive=True))
                    count = queue.declaration_result.message_count or 0
                    for _ in range(count - self.settings.dead_letter_max):
                        await ask(queue.get(no_ack=True, fail=False))
            except StoreError as error:
                log.debug("queue %s: dead jobs are not counted: %s", self.name.text, error)
            except Exception:
                log.exception("queue %s: dead jobs cannot be counted", self.name.text)

    async def close(self) -> None:
        if self._trimming is not None:
            await end_tasks([self._trimming])

    async def counts(self) -> tuple[int, int, int]:
        """Jobs that wait, that this engine has delayed, and dead ones."""
        await self.ensure()
        async with self._looking:
            waiting, dead = await self._count(self.names.queue), await self._count(self.names.dead)
        return waiting or 0, self._waiting.count(self.name), dead or 0

    async def consumers(self) -> int:
        """How many engines take jobs from it."""
        async with self._connection.channel() as channel:
            queue = await self._connection.ask(
                channel.declare_queue(self.names.queue, passive=True)
            )
            return queue.declaration_result.consumer_count or 0

    async def _count(self, name: str) -> int | None:
        from aio_pika.exceptions import ChannelNotFoundEntity

        async def count(channel: AbstractChannel) -> int | None:
            try:
                queue = await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:
                return None
            return queue.declaration_result.message_count or 0

        async with self._connection.channel() as channel:
            return await self._connection.ask(count(channel))

    # -- dead ones -------------------------------------------------------------------------------

    async def dead(self, offset: int, limit: int) -> list[DeadJob]:
        """Newest first."""
        found: deque[DeadJob] = deque(maxlen=offset + limit)

        async def look(dead: DeadJob) -> bool:
            found.append(dead)
            return False

        await self._look_through(look)
        return list(reversed(found))[offset:]

    async def find_dead(self, message_id: str) -> DeadJob | None:
        """None when there is none."""
        found: list[DeadJob] = []

        async def look(dead: DeadJob) -> bool:
            found.extend([dead] if dead.job.id == message_id else [])
            return False

        await self._look_through(look)
        return found[0] if found else None

    async def redrive(self, message_id: str | None, now_ms: int) -> int:
        """Run all again, or one; answers how many."""
        if (problem := self._connection.problem) is not None:
            raise ServerLost(problem)  # and do not keep others from looking until it is over

        async def look(dead: DeadJob) -> bool:
            job = dead.job
            if message_id not in (None, job.id):
                return False
            job.renew()
            await self.put(job, now_ms)
            return True

        return await self._look_through(look)

    async def discard(self, message_id: str) -> int:
        async def look(dead: DeadJob) -> bool:
            return dead.job.id == message_id

        return await self._look_through(look)

    async def _look_through(self, look: Callable[[DeadJob], Awaitable[bool]]) -> int:
        """Show those that are dead now, oldest first. `look` says which go; answers how many.

        RabbitMQ shows a message only by giving it away: all stay away until the end, and then
        return to their places.
        """
        await self.ensure()
        gone = 0
        async with self._alone(), self._connection.channel() as channel:
            ask = self._connection.ask
            queue = await ask(channel.declare_queue(self.names.dead, passive=True))
            last: AbstractIncomingMessage | None = None
            for _ in range(queue.declaration_result.message_count or 0):
                message = await ask(queue.get(fail=False))
                if message is None:
                    break
                try:
                    goes = await look(dead_of(message))
                except msgspec.DecodeError as error:
                    log.error("queue %s: a dead job cannot be read: %s", self.name.text, error)
                    goes = False
                if goes:
                    await ask(message.ack())
                    gone += 1
                else:
                    last = message
            if last is not None:
                await ask(last.nack(multiple=True))
            await ask(channel.declare_queue(self.names.dead, passive=True))  # they are back now
        return gone

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """No engine looks meanwhile: a queue that only one connection may have is the sign."""
        async with self._looking, AsyncExitStack() as stack:
            end = time.monotonic() + PATIENCE_SECONDS
            while True:
                channel = await stack.enter_async_context(self._connection.channel())
                if await self._connection.ask(_taken(channel, f"{self.names.dead}.look")):
                    break
                if time.monotonic() > end:
                    where, queue = self._connection.where, self.name.text
                    raise StoreError(f"{where}: another engine looks at the dead jobs of {queue}")
                await asyncio.sleep(LOOK_SECONDS)
            yield


async def _taken(channel: AbstractChannel, sign: str) -> bool:
    """False when another connection has it. It goes with the channel, as that is its consumer."""
    from aiormq.exceptions import ChannelLockedResource

    async def ignore(message: AbstractIncomingMessage) -> None:
        """Nothing comes."""

    try:
        queue = await channel.declare_queue(sign, exclusive=True, auto_delete=True)
    except ChannelLockedResource:
        return False
    await queue.consume(ignore)
    return True
