"""One queue in JetStream: a work queue of its jobs, and a stream of its dead ones."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.jetstream.lane import Lane
from iii_engine.modules.queue.jetstream.notes import Notes
from iii_engine.modules.queue.jetstream.records import (
    dead_in,
    found_or_none,
    id_in,
    id_of,
    job_in,
)
from iii_engine.modules.queue.job import (
    DeadJob,
    Job,
    QueueName,
    Stats,
    encode_job,
    foreign_dead,
    foreign_job,
    unreadable,
)
from iii_engine.modules.queue.settings import Settings
from iii_engine.net.nats_client import ANSWER_SECONDS, NatsConnection, token
from iii_engine.storage.base import StoreError
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext
    from nats.js.api import RawStreamMsg, StreamConfig

log = logging.getLogger("iii.queue")

#: Jobs of a `fifo` queue run one after another in each of so many lanes; a group is in one lane.
LANES: Final = 16
#: Bytes that a job must leave of the server's `max_payload`: its dead letter is longer. And
#: characters of an error that fit in them, however they are written.
ROOM: Final = 4096
SHORT: Final = 500
#: Seconds in which a job with the same id is known to be the same.
DEDUPE_SECONDS: Final = 300.0


class JetQueue:
    """Methods raise the errors of the NATS client, `StoreError` and `ServerLost`."""

    def __init__(
        self,
        connection: NatsConnection,
        name: QueueName,
        prefix: str,
        replicas: int,
        lease_s: float,
        notes: Notes,
    ) -> None:
        digest = sha256("\0".join((name.name, str(name.topic), name.function_id)).encode())
        self.name = name
        self.settings = Settings()
        self.wake: Callable[[], None] | None = None
        self.lanes: list[Lane] = []
        self._opened: Limits | None = None  # what the lanes are like
        self._changing = asyncio.Lock()
        #: How often jobs that have arrived were handed back, by their number in the stream.
        self.handed_back: dict[int, int] = {}
        self._notes = notes
        self._connection = connection
        self._replicas = replicas
        self._lease_s = lease_s
        self._stream = f"{prefix}_queue_{digest.hexdigest()[:24]}"
        self._dead = f"{self._stream}_dead"
        self._ready = False

    @property
    def js(self) -> JetStreamContext:
        return self._connection.client.jetstream(timeout=ANSWER_SECONDS)

    async def ensure(self) -> None:
        """Create its streams if they are not there."""
        if self._ready:
            return
        from nats.js.api import RetentionPolicy, StorageType, StreamConfig

        common = {"storage": StorageType.FILE, "num_replicas": self._replicas}
        await self._make(
            StreamConfig(
                name=self._stream,
                description=self.name.text[:1000],
                subjects=[f"{self._stream}.>"],
                retention=RetentionPolicy.WORK_QUEUE,
                duplicate_window=DEDUPE_SECONDS,
                **common,  # type: ignore[arg-type]
            )
        )
        await self._make(
            StreamConfig(
                name=self._dead,
                subjects=[f"{self._dead}.>"],
                max_msgs=self.settings.dead_letter_max or -1,
                **common,  # type: ignore[arg-type]
            )
        )
        self._ready = True

    async def _make(self, config: StreamConfig) -> None:
        from nats.js.errors import BadRequestError

        async def make() -> None:
            try:
                await self.js.add_stream(config)
            except BadRequestError:  # there is one that was made with other options
                await self.js.update_stream(config)

        await self._connection.ask(make())

    # -- jobs ------------------------------------------------------------------------------------

    async def knows_otherwise(self, job: Job) -> bool:
        """Whether another job has its id: of another function, or under another key."""
        found = await self.find(job.id)
        if isinstance(found, DeadJob):
            found = found.job
        return isinstance(found, Job) and found.once != job.once

    async def put(self, job: Job) -> bool:
        """Store a job; whether one of this key or id was stored a while ago."""
        await self.ensure()
        lane = zlib.crc32(job.group_id.encode()) % LANES
        known_as = (job.once or job.id).encode().hex()
        if job.once and (generation := await self._notes.generation(self._stream, job.once)):
            known_as = f"{known_as}.{generation}"
        record, headers = encode_job(job), {"Nats-Msg-Id": known_as}
        if (problem := self._connection.too_large(record, headers, ROOM)) is not None:
            raise problem
        ack = await self._connection.ask(
            self.js.publish(f"{self._stream}.{lane}.{token(job.id)}", record, headers=headers)
        )
        return bool(ack.duplicate)

    async def bury(self, dead: DeadJob) -> None:
        """Store a dead job; the text of its error is cut where NATS would not take all of it."""
        await self.ensure()
        record = encode_job(dead)
        if self._connection.too_large(record, {}):
            dead.error, dead.job.error = dead.error[:SHORT], None
            record = encode_job(dead)
        if (problem := self._connection.too_large(record, {})) is not None:
            log.error(
                "queue %s: %s is dead without its payload: %s", self.name.text, dead.job.id, problem
            )
            dead.error, dead.job.data, dead.job.metadata = f"{problem}: {dead.error}", NULL, NULL
            record = encode_job(dead)
        await self._connection.ask(self.js.publish(f"{self._dead}.{token(dead.job.id)}", record))

    async def bury_unreadable(
        self, subject: str, record: bytes, error: msgspec.DecodeError, now_ms: int
    ) -> None:
        """What was stored under this subject is no job."""
        log.error("queue %s: what is no job is dead: %s", self.name.text, error)
        job = unreadable(id_of(subject), record)
        await self.bury(DeadJob(job, f"unreadable: {error}", now_ms))

    async def cancel(self, message_id: str) -> bool:
        found = await self._find(self._stream, f"{self._stream}.*.{token(message_id)}")
        if found is None or not await self._delete(self._stream, found):
            return False
        await self.free_key(job_in(found))
        return True

    async def free_key(self, job: Job) -> None:
        """The server remembers ids that it has seen: let the next job have another one there."""
        if job.once:
            await self._notes.free(self._stream, job.once)

    async def find(self, message_id: str) -> Job | DeadJob | bool:
        found = await self._find(self._stream, f"{self._stream}.*.{token(message_id)}")
        if found is not None:
            return job_in(found)
        found = await self._find(self._dead, f"{self._dead}.{token(message_id)}")
        return False if found is None else dead_in(found)

    async def _find(self, stream: str, subject: str) -> RawStreamMsg | None:
        await self.ensure()
        return await self._connection.ask(found_or_none(self.js.get_last_msg, stream, subject))

    async def _delete(self, stream: str, record: RawStreamMsg) -> bool:
        """False when it is gone already."""
        number = record.seq or 0
        return bool(await self._connection.ask(found_or_none(self.js.delete_msg, stream, number)))

    # -- dead ones -------------------------------------------------------------------------------

    async def dead(self, offset: int, limit: int) -> list[DeadJob]:
        """Newest first."""
        found: list[DeadJob] = []
        async for record in self._records(self._dead, newest_first=True):
            if offset > 0:
                offset -= 1
            elif len(found) < limit:
                found.append(dead_in(record))
            else:
                break
        return found

    async def redrive(self, message_id: str | None) -> int:
        if message_id is not None:
            found = await self._find(self._dead, f"{self._dead}.{token(message_id)}")
            records = [] if found is None else [found]
        else:
            records = [r async for r in self._records(self._dead, newest_first=False)]
        redriven = 0
        for record in records:
            try:
                job = foreign_dead(record.data or b"").job
            except msgspec.DecodeError as error:
                text = f"{id_in(record)} cannot be read, and stays where it is: {error}"
                if message_id is not None:
                    raise BusError(text, code="redrive_message_failed") from None
                log.error("queue %s: %s", self.name.text, text)
                continue
            job.renew()
            await self._again(job)
            await self._delete(self._dead, record)
            redriven += 1
        return redriven

    async def _again(self, job: Job) -> None:
        """Store it anew although its id is known."""
        lane = zlib.crc32(job.group_id.encode()) % LANES
        subject = f"{self._stream}.{lane}.{token(job.id)}"
        await self._connection.ask(self.js.publish(subject, encode_job(job)))

    async def discard(self, message_id: str) -> int:
        found = await self._find(self._dead, f"{self._dead}.{token(message_id)}")
        if found is None or not await self._delete(self._dead, found):
            return 0
        await self.free_key(dead_in(found).job)
        return 1

    async def bury_all(
        self,
        reason: str,
        now_ms: int,
        running: Collection[int],
        still: Callable[[], Awaitable[bool]],
    ) -> None:
        """Nobody will run what waits, if that is `still` so: then it was so before any of these.

        `running` are the numbers of those that run now.
        """
        await self.ensure()
        last = (await self._connection.ask(self.js.stream_info(self._stream))).state.last_seq
        if not await still():
            return
        async for record in self._records(self._stream, newest_first=False):
            if (record.seq or 0) > last:
                break
            if record.seq not in running:
                job = job_in(record)
                job.error = reason
                await self.bury(DeadJob(job, reason, now_ms))
                await self._delete(self._stream, record)

    async def move(self, other: JetQueue, now_ms: int) -> None:
        """Give all jobs to another queue, if there are any."""
        if await self._connection.ask(found_or_none(self.js.stream_info, self._stream)) is None:
            return
        async for record in self._records(self._stream, newest_first=False):
            try:
                await other.put(foreign_job(record.data or b""))
            except msgspec.DecodeError as error:
                await other.bury_unreadable(record.subject or "", record.data or b"", error, now_ms)
            await self._delete(self._stream, record)

    async def _records(self, stream: str, *, newest_first: bool) -> AsyncIterator[RawStreamMsg]:
        await self.ensure()
        state = (await self._connection.ask(self.js.stream_info(stream))).state
        if not state.messages:
            return
        numbers = range(state.first_seq, state.last_seq + 1)
        for number in reversed(numbers) if newest_first else numbers:
            record = await self._connection.ask(found_or_none(self.js.get_msg, stream, number))
            if record is not None:
                yield record

    async def stats(self) -> Stats:
        await self.ensure()
        jobs = (await self._connection.ask(self.js.stream_info(self._stream))).state.messages
        dead = (await self._connection.ask(self.js.stream_info(self._dead))).state.messages
        consumers = await self._connection.ask(self.js.consumers_info(self._stream))
        active = min(jobs, sum(each.num_ack_pending or 0 for each in consumers))
        return Stats(waiting=jobs - active, active=active, dead=dead)

    # -- running them ----------------------------------------------------------------------------

    async def reopen_lanes(self) -> None:
        """Get jobs within the limits that count now, if somebody wants jobs."""
        async with self._changing:
            if self.wake is None or self._opened == self.settings.limits:
                return
            await self._close_lanes()
            await self._open_lanes(self.settings.limits)
            self._opened = self.settings.limits

    async def _open_lanes(self, limits: Limits) -> None:
        """With `ordered` limits, jobs come one after another in each lane."""
        await self.ensure()
        lanes = limits.ordered and not limits.single
        names = [f"lane-{n}" for n in range(LANES)] if lanes else ["all"]
        for info in await self._connection.ask(self.js.consumers_info(self._stream)):
            if info.name not in names:  # it was of the other kind before
                await self._connection.ask(self.js.delete_consumer(self._stream, info.name))
        for number, name in enumerate(names):
            pending = 1 if limits.ordered else -1
            await self._consumer(name, f"{number if lanes else '*'}.*", pending)
            client = self._connection.client
            lane = Lane(client, self._stream, name, self._look_up, self._arrived)
            await lane.open()
            self.lanes.append(lane)

    async def _consumer(self, name: str, filter_subject: str, pending: int) -> None:
        from nats.js.api import AckPolicy, ConsumerConfig

        await self._connection.ask(
            self.js.add_consumer(
                self._stream,
                ConsumerConfig(
                    durable_name=name,
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=self._lease_s,
                    max_deliver=-1,
                    max_ack_pending=pending,
                    filter_subject=f"{self._stream}.{filter_subject}",
                ),
            )
        )

    async def close_lanes(self) -> None:
        """Get no jobs any more, unless somebody wants some again."""
        async with self._changing:
            if self.wake is None:
                await self._close_lanes()

    async def _close_lanes(self) -> None:
        self._opened = None
        lanes, self.lanes = self.lanes, []
        for lane in lanes:
            await lane.close()
        self.handed_back.clear()

    async def _look_up(self, message: Msg) -> None:
        """A job that was delivered before may have been handed back."""
        delivery = message.metadata
        if (delivery.num_delivered or 1) == 1:
            return
        number = delivery.sequence.stream
        try:
            count = await self._notes.handed_back(self._stream, number)
        except StoreError as error:
            log.debug("queue %s: %s", self.name.text, error)
            return
        if count:
            self.handed_back[number] = count

    async def hand_back(self, message: Msg, job: Job) -> None:
        """Remember how often it was, for whoever gets it next."""
        number = message.metadata.sequence.stream
        await self._notes.hand_back(self._stream, number, job.handed_back)

    def arrived(self, limit: int) -> list[Msg]:
        """Up to so many jobs that have arrived."""
        return [
            lane.buffer.popleft()
            for lane in self.lanes
            for _ in range(len(lane.buffer))
            if (limit := limit - 1) >= 0
        ]

    def _arrived(self) -> None:
        if self.wake is not None:
            self.wake()
