"""How the jobs of one queue come from the server to this engine, and go back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from iii_engine.modules.queue.rabbitmq.arrivals import Arrivals
from iii_engine.modules.queue.rabbitmq.connection import RabbitConnection
from iii_engine.modules.queue.rabbitmq.holders import Holders
from iii_engine.modules.queue.rabbitmq.kept import RabbitQueue
from iii_engine.modules.queue.settings import Settings
from iii_engine.storage.base import ServerLost, StoreError
from iii_engine.tasks import end_tasks

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

log = logging.getLogger("iii.queue")

#: Seconds between looks whether an ordered queue has become free.
STANDBY_SECONDS: Final = 0.5
#: Seconds in which another engine takes an ordered queue that was left.
ASIDE_SECONDS: Final = 2 * STANDBY_SECONDS
#: What RabbitMQ says when another engine was faster to take an ordered queue.
TAKEN: Final = "in exclusive use"
#: Seconds until something that failed is tried again.
AGAIN_SECONDS: Final = 0.25


class Consumption:
    """One channel that gets the jobs of a queue. Its end gives back what has not ended."""

    def __init__(self, channel: AbstractChannel, queue: AbstractQueue) -> None:
        self.channel = channel
        self.queue = queue
        #: Empty while it gets nothing more.
        self.tag = ""
        self.ordered = False
        self.window = 0


class Intake:
    """Gets jobs while somebody wants them (`want`); a task brings the server to what is wanted.

    Of an ordered queue one engine gets jobs, and gives the queue away when none runs any more.
    """

    def __init__(
        self,
        connection: RabbitConnection,
        queue: RabbitQueue,
        prefetch: int,
        holders: Holders,
        on_message: Callable[[AbstractIncomingMessage], None],
    ) -> None:
        self.arrivals = Arrivals()
        self.wake: Callable[[], None] | None = None
        #: Why jobs are not taken as it is wanted; None when they are.
        self.trouble: str | None = None
        self._connection = connection
        self._queue = queue
        self._prefetch = prefetch
        self._holders = holders
        self._leaving = False
        self._told = False
        self._on_message = on_message
        self._wanted: Settings | None = None
        self._consumption: Consumption | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def want(self, settings: Settings | None) -> None:
        """Get jobs from now on, or no more."""
        self._wanted = settings
        self.check()
        if self._task is None and settings is not None:
            self._task = asyncio.create_task(self._follow())

    def check(self) -> None:
        """Something has changed: look whether everything is as it is wanted."""
        self._changed.set()

    def step_aside(self) -> None:
        """Something of the named queue can only run elsewhere: let other engines have it."""
        self._leaving = True
        self.check()

    @property
    def gives(self) -> bool:
        """Whether jobs may be taken."""
        return self._wanted is not None and not self._leaving and self._suits(self._wanted)

    @property
    def released(self) -> bool:
        """Whether the server sees that nothing is wanted."""
        return self._consumption is None or not self._consumption.tag

    async def close(self) -> None:
        if self._task is not None:
            await end_tasks([self._task])

    def _window(self, settings: Settings) -> int:
        return max(self._prefetch, settings.concurrency)

    def _suits(self, settings: Settings) -> bool:
        now = self._consumption
        return (
            now is not None
            and bool(now.tag)
            and now.ordered == settings.limits.ordered
            and now.window == self._window(settings)
        )

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._step()
                self.trouble = None
                continue
            except StoreError as error:
                usual = isinstance(error, ServerLost) or TAKEN in str(error)
                level = logging.DEBUG if usual else logging.WARNING
                log.log(level, "queue %s: %s", self._queue.name.text, error)
                self.trouble = None if TAKEN in str(error) else str(error)
            except Exception as error:
                log.exception("queue %s: its jobs cannot be taken", self._queue.name.text)
                self.trouble = repr(error)
            await asyncio.sleep(AGAIN_SECONDS)
            self._changed.set()

    @property
    def _others(self) -> str:
        return self._queue.names.holders

    async def _tell(self, wanted: Settings | None) -> None:
        """Other engines see whether this one would take an ordered named queue."""
        if wanted is not None and wanted.limits.ordered and not self._queue.name.topic:
            self._told = True
            await self._holders.hold(self._others)
        elif self._told:
            await self._holders.release(self._others)
            self._told = False

    async def _step(self) -> None:
        await self._tell(self._wanted)
        now, wanted = self._consumption, self._wanted
        if self._leaving:
            self._leaving = now is not None and await self._holders.count(self._others) > 1
            wanted = None if self._leaving else wanted
        if now is None:
            if wanted is not None:
                await self._open(wanted)
        elif wanted is None or not self._suits(wanted):
            await self._change(now, wanted)
        if self.gives and self.wake is not None:
            self.wake()

    async def _open(self, wanted: Settings) -> None:
        await self._queue.ensure()
        if wanted.limits.ordered and await self._queue.consumers():
            await asyncio.sleep(STANDBY_SECONDS)  # another engine has it
            self._changed.set()
            return
        channel = await self._connection.new_channel()
        queue = await channel.get_queue(self._queue.names.queue, ensure=False)
        self._consumption = consumption = Consumption(channel, queue)
        channel.close_callbacks.add(self._on_close)
        await self._consume(consumption, wanted)

    async def _consume(self, now: Consumption, wanted: Settings) -> None:
        now.ordered, now.window = wanted.limits.ordered, self._window(wanted)
        self.arrivals.limits = wanted.limits
        await self._connection.ask(now.channel.set_qos(prefetch_count=now.window))

        async def on_message(message: AbstractIncomingMessage) -> None:
            if self._consumption is now:
                self._on_message(message)

        tag = f"iii-{now.window}-{id(now):x}"
        await self._connection.ask(
            now.queue.consume(on_message, exclusive=now.ordered, consumer_tag=tag)
        )
        now.tag = tag

    async def _change(self, now: Consumption, wanted: Settings | None) -> None:
        """Give back what waits. Jobs that run end first: their channel is theirs."""
        if not now.ordered and now.tag:
            tag, now.tag = now.tag, ""
            await self._connection.ask(now.queue.cancel(tag))
            for message in self.arrivals.give_back():
                await self._connection.ask(message.nack())
        if wanted is not None and not (now.ordered or wanted.limits.ordered):
            await self._consume(now, wanted)
        elif not self.arrivals.running:
            self._consumption = None
            leaving, self._leaving = self._leaving, False
            if leaving:
                self.arrivals.leave()
            else:
                self.arrivals.lost()
            await self._connection.ask(now.channel.close())
            if leaving:
                await asyncio.sleep(ASIDE_SECONDS)
            self._changed.set()

    def _on_close(self, channel: object, error: BaseException | None) -> None:
        """With the connection, or for a job that ran longer than the server likes."""
        if self._consumption is not None and self._consumption.channel is channel:
            if "timed out" in str(error):
                log.warning(
                    "queue %s: a job runs longer than the consumer_timeout of RabbitMQ (30 minutes "
                    "unless its configuration says more): it may run at another engine, too, as "
                    "may all others that run here",
                    self._queue.name.text,
                )
            self._consumption = None
            self.arrivals.lost()
            self.check()
