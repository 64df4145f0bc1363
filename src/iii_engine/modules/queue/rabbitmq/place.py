"""One queue as its broker has it: what the server keeps, and what has come from there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from iii_engine.modules.queue.job import Stats
from iii_engine.modules.queue.rabbitmq.arrivals import Arrival
from iii_engine.modules.queue.rabbitmq.connection import RabbitConnection
from iii_engine.modules.queue.rabbitmq.holders import Holders
from iii_engine.modules.queue.rabbitmq.intake import AGAIN_SECONDS, Intake
from iii_engine.modules.queue.rabbitmq.kept import RabbitQueue
from iii_engine.storage.base import StoreError

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage

log = logging.getLogger("iii.queue")

#: Seconds in which a job that the server took back comes here again, or has gone to another engine.
RETURN_SECONDS: Final = 30.0


class Place:
    def __init__(
        self,
        connection: RabbitConnection,
        queue: RabbitQueue,
        prefetch: int,
        holders: Holders,
        arrived: Callable[[Place, AbstractIncomingMessage], None],
    ) -> None:
        self.queue = queue
        self.intake = Intake(
            connection,
            queue,
            prefetch,
            holders,
            lambda message: arrived(self, message),
        )
        self._connection = connection

    async def close(self) -> None:
        await self.intake.close()
        await self.queue.close()

    def notify(self) -> None:
        """There may be something to take, or nothing to wait for."""
        self.intake.check()
        if self.intake.wake is not None:
            self.intake.wake()

    def out(self, message_id: str) -> Arrival | None:
        """The job that was taken, if it has not ended."""
        found = (each for each in self.intake.arrivals.out if each.job.id == message_id)
        return next(found, None)

    async def end(
        self, arrival: Arrival, store: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        """Store what is to be stored, then acknowledge the job; again until that is done.

        The server takes a job back with the connection, and gives it out again: it ends when it
        has come back, unless another engine got it.
        """
        absent, arrival.over = 0.0, True
        while absent < RETURN_SECONDS and arrival in self.intake.arrivals.out:
            message = arrival.message
            try:
                if message is not None:
                    if store is not None:
                        await store()
                        store = None
                    await self._connection.ask(message.ack())
                    break
            except StoreError as error:
                log.warning("queue %s: %s", self.queue.name.text, error)
            except Exception:
                name = self.queue.name.text
                log.exception("queue %s: job %s cannot be ended", name, arrival.job.id)
            await asyncio.sleep(AGAIN_SECONDS)
            if arrival.message is None and self._connection.is_open:
                absent += AGAIN_SECONDS
        self.ended(arrival)

    def ended(self, arrival: Arrival) -> None:
        self.intake.arrivals.ended(arrival)
        self.notify()

    def give_up(self, arrival: Arrival) -> None:
        """It did not come back, so another engine has got it."""
        if arrival.due:
            self.ended(arrival)

    async def stats(self) -> Stats:
        """Jobs that other engines run, or have delayed, are not to be seen."""
        waiting, delayed, dead = await self.queue.counts()
        arrivals = self.intake.arrivals
        here = [arrival for arrival in arrivals.out if arrival.message is not None]
        active = sum(arrival.running for arrival in here)
        return Stats(
            waiting=waiting + len(arrivals.waiting),
            active=active,
            delayed=delayed + len(here) - active,
            dead=dead,
        )
