"""The dead letters of one queue, in a stream of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec

from iii_engine.modules.queue.jetstream.records import dead_in, id_in, id_of
from iii_engine.modules.queue.jetstream.stored import Stored
from iii_engine.modules.queue.job import (
    DeadJob,
    Job,
    QueueName,
    encode_job,
    foreign_dead,
    unreadable,
)
from iii_engine.net.nats_client import NatsConnection, token
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL

if TYPE_CHECKING:
    from nats.js.api import RawStreamMsg

log = logging.getLogger("iii.queue")

#: Characters of an error that fit where NATS would not take all of it, however they are written.
SHORT: Final = 500


class DeadLetters(Stored):
    """A job that dies is known by its place among the jobs, so it is dead once however often that
    is said."""

    def __init__(self, connection: NatsConnection, stream: str, queue: QueueName) -> None:
        super().__init__(connection, stream)
        self._queue = queue

    async def bury(self, dead: DeadJob, place: str) -> None:
        """Store a dead job, which had this place among the jobs.

        The text of its error is cut where NATS would not take all of it.
        """
        record = encode_job(dead)
        if self._connection.too_large(record, {}):
            dead.error, dead.job.error = dead.error[:SHORT], None
            record = encode_job(dead)
        if (problem := self._connection.too_large(record, {})) is not None:
            log.error(
                "queue %s: %s is dead without its payload: %s",
                self._queue.text,
                dead.job.id,
                problem,
            )
            dead.error, dead.job.data, dead.job.metadata = f"{problem}: {dead.error}", NULL, NULL
            record = encode_job(dead)
        await self.put(self._subject(dead.job.id), record, place)

    async def bury_unreadable(
        self, subject: str, record: bytes, error: msgspec.DecodeError, now_ms: int, place: str
    ) -> None:
        """What was stored under this subject is no job."""
        log.error("queue %s: what is no job is dead: %s", self._queue.text, error)
        job = unreadable(id_of(subject), record)
        await self.bury(DeadJob(job, f"unreadable: {error}", now_ms), place)

    async def page(self, offset: int, limit: int) -> list[DeadJob]:
        """Newest first."""
        found: list[DeadJob] = []
        async for records in self.newest_first():
            found += map(dead_in, records[offset : offset + limit - len(found)])
            offset = max(0, offset - len(records))
            if len(found) >= limit:
                break
        return found

    async def letter(self, message_id: str) -> RawStreamMsg | None:
        return await self.find(self._subject(message_id))

    async def redrive(
        self, message_id: str | None, again: Callable[[Job, str], Awaitable[None]]
    ) -> int:
        """Let them run `again`, which is told where each comes from; how many there were."""
        if message_id is not None:
            found = await self.letter(message_id)
            return 0 if found is None else await self._redrive([found], again, strict=True)
        last, redriven = await self.last(), 0
        async for records in self.oldest_first():
            mine = [record for record in records if (record.seq or 0) <= last]
            redriven += await self._redrive(mine, again, strict=False)
            if len(mine) < len(records):
                break  # they have died meanwhile
        return redriven

    async def _redrive(
        self,
        records: list[RawStreamMsg],
        again: Callable[[Job, str], Awaitable[None]],
        *,
        strict: bool,
    ) -> int:
        readable: dict[int, Job] = {}
        for record in records:
            try:
                readable[record.seq or 0] = foreign_dead(record.data or b"").job
            except msgspec.DecodeError as error:
                text = f"{id_in(record)} cannot be read, and stays where it is: {error}"
                if strict:
                    raise BusError(text, code="redrive_message_failed") from None
                log.error("queue %s: %s", self._queue.text, text)
        for job in readable.values():
            job.renew()
        await asyncio.gather(
            *(again(job, f"{self.name}.{number}") for number, job in readable.items())
        )
        await asyncio.gather(*map(self.delete, readable))
        return len(readable)

    def _subject(self, message_id: str) -> str:
        return f"{self.name}.{token(message_id)}"
