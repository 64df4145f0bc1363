"""Jobs whose time has not come: they wait in RabbitMQ, and engines move them on.

The server could move them itself (messages that expire and are dead-lettered), but from a classic
queue it does so unconfirmed, and a quorum queue is not on disk when it says that it exists: a kill
loses jobs either way. An engine has a job confirmed in its next queue before it acknowledges it.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct, field

from iii_engine.modules.queue.job import Job, QueueName
from iii_engine.modules.queue.rabbitmq.connection import RabbitConnection
from iii_engine.modules.queue.rabbitmq.messages import UNREADABLE, job_of, message_of
from iii_engine.storage.base import ServerLost, StoreError
from iii_engine.tasks import Tasks
from iii_sdk.errors import BusError

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage

log = logging.getLogger("iii.queue")

#: The pauses that have a queue, in milliseconds; a longer one is several of them.
STEPS: Final[tuple[int, ...]] = tuple(
    digit * 10**power for power in range(1, 9) for digit in (1, 2, 5)
)
#: A job that arrives by so many milliseconds too early is on time.
EARLY_MS: Final = 3
#: Jobs of one step that an engine holds.
WINDOW: Final = 50
#: After so long a job that is held goes back, and comes again: RabbitMQ takes who holds one for
#: 30 minutes for dead.
HOLD_MS: Final = 600_000
#: Milliseconds until a job that its queue did not take is tried again.
REFUSED_MS: Final = 1000
#: Seconds until something that failed is tried again.
AGAIN_SECONDS: Final = 0.25
#: Jobs of one queue that are counted as delayed.
COUNTED: Final = 100_000


def step_of(ms: int) -> int:
    """The first part of a pause."""
    return STEPS[max(0, bisect_right(STEPS, ms) - 1)]


class Ticket(Struct):
    """For which queue a job waits, and until when, in milliseconds since the epoch."""

    queue: str = field(name="x-queue")
    until: int = field(name="x-until")

    @classmethod
    def make(cls, queue: QueueName, until: int) -> Ticket:
        return cls(msgspec.json.encode(queue).decode(), until)

    @property
    def name(self) -> QueueName:
        """Raises `msgspec.DecodeError`."""
        return msgspec.json.decode(self.queue, type=QueueName)


class Waiting:
    """A durable queue for each step, for the jobs of all queues. All engines move them.

    The jobs of one step are in the order of their times, so it is enough to hold the first ones.
    Methods raise `StoreError` and `ServerLost`.
    """

    def __init__(
        self,
        connection: RabbitConnection,
        prefix: str,
        go_on: Callable[[QueueName, Job], Awaitable[object]],
        now_ms: Callable[[], int],
    ) -> None:
        """`go_on` stores a job in its queue, or lets it wait for the rest of its pause."""
        self._connection = connection
        self._prefix = prefix
        self._go_on = go_on
        self._now_ms = now_ms
        #: Why no job moves; None when they do.
        self.trouble: str | None = None
        self._ready = False
        self._making = asyncio.Lock()
        self._tasks = Tasks()
        self._moving = Tasks()
        self._due: defaultdict[QueueName, list[int]] = defaultdict(list)

    def open(self) -> None:
        """Move jobs from now on."""
        self._tasks.spawn(self._follow())

    async def close(self) -> None:
        await self._tasks.end()
        await self._moving.end()

    def forget(self) -> None:
        """The server may be another one now."""
        self._ready = False

    def count(self, queue: QueueName) -> int:
        """The jobs that this engine has put here, and that still wait."""
        due, now_ms = self._due[queue], self._now_ms()
        while due and due[0] <= now_ms:
            heappop(due)
        return len(due)

    async def put(self, queue: QueueName, job: Job, pause_ms: int, *, hurry: bool = False) -> None:
        """Store a job until a part of its pause is over."""
        await self._ensure()
        step = step_of(pause_ms)
        message = message_of(job)
        message.headers |= msgspec.to_builtins(Ticket.make(queue, self._now_ms() + step))
        if not await self._connection.publish(message, "", self._name(step), hurry=hurry):
            self.forget()
            raise StoreError(f"{self._connection.where} has no queue for jobs that wait")
        if self.count(queue) < COUNTED:
            heappush(self._due[queue], job.process_at)

    def _name(self, step: int) -> str:
        return f"{self._prefix}::retry.{step}.queue"

    async def _ensure(self) -> None:
        async with self._making:
            if not self._ready:
                async with self._connection.channel() as channel:
                    for step in STEPS:
                        await self._connection.ask(
                            channel.declare_queue(self._name(step), durable=True)
                        )
                self._ready = True

    async def _follow(self) -> None:
        while True:
            try:
                await self._ensure()
                await self._consume()
            except StoreError as error:
                log.debug("queue: %s", error)
                self.trouble = str(error)
            except Exception as error:
                log.exception("queue: jobs that wait for their time cannot be moved")
                self.trouble = repr(error)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _consume(self) -> None:
        """Until the channel is closed: then the server gives out anew what was held."""
        ask, channel = self._connection.ask, await self._connection.new_channel()
        closed = asyncio.Event()
        channel.close_callbacks.add(lambda *_: closed.set())

        async def arrived(message: AbstractIncomingMessage) -> None:
            self._moving.spawn(self._move(message))

        await ask(channel.set_qos(prefetch_count=WINDOW))
        for step in STEPS:
            queue = await channel.get_queue(self._name(step), ensure=False)
            await ask(queue.consume(arrived))
        self.trouble = None
        await closed.wait()
        await self._moving.end()

    async def _move(self, message: AbstractIncomingMessage) -> None:
        try:
            ticket = msgspec.convert(dict(message.headers), Ticket)
            name, job = ticket.name, job_of(message, "")
        except UNREADABLE as error:
            log.error("what waits and is no job is removed: %s", error)
            await self._settled(message.ack())
            return
        pause_ms = ticket.until - self._now_ms()
        if pause_ms > EARLY_MS:
            await asyncio.sleep(min(pause_ms, HOLD_MS) / 1000)
        if ticket.until - self._now_ms() > EARLY_MS:
            await self._settled(message.nack())
            return
        try:
            await self._pass_on(name, job)
        except StoreError as error:
            log.debug("queue %s: %s", name.text, error)
        except Exception:
            log.exception("queue %s: job %s cannot be moved", name.text, job.id)
        else:
            await self._settled(message.ack())
            return
        await asyncio.sleep(AGAIN_SECONDS)
        await self._settled(message.nack())

    async def _pass_on(self, name: QueueName, job: Job) -> None:
        """What its queue refuses must not hold up others."""
        try:
            await self._go_on(name, job)
        except ServerLost:
            raise
        except (BusError, StoreError) as error:
            log.warning("queue %s does not take job %s: %s", name.text, job.id, error)
            await self.put(name, job, REFUSED_MS)

    async def _settled(self, request: Awaitable[object]) -> None:
        """A job whose settling is lost comes again, with the channel."""
        try:
            await self._connection.ask(request)
        except StoreError as error:
            log.debug("queue: %s", error)
        except Exception:
            log.exception("queue: a job that waits cannot be settled")
