"""One queue in JetStream: a work queue of its jobs, and a stream of its dead ones."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Collection
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from iii_engine.modules.queue.jetstream.consumers import LANES
from iii_engine.modules.queue.jetstream.dead import DeadLetters
from iii_engine.modules.queue.jetstream.keys import Keys
from iii_engine.modules.queue.jetstream.lane import Arrival
from iii_engine.modules.queue.jetstream.lanes import Lanes
from iii_engine.modules.queue.jetstream.records import dead_in, job_in
from iii_engine.modules.queue.jetstream.stored import Stored
from iii_engine.modules.queue.jetstream.tries import Tries
from iii_engine.modules.queue.job import DeadJob, Job, QueueName, Stats, encode_job, foreign_job
from iii_engine.modules.queue.settings import Settings
from iii_engine.net.nats_client import ANSWER_SECONDS, NatsConnection, token

if TYPE_CHECKING:
    from nats.js.api import RawStreamMsg

#: Bytes that a job must leave of the server's `max_payload`: its dead letter is longer.
ROOM: Final = 4096
#: Seconds in which the server knows what was stored: longer than anybody asks for the same again.
DEDUPE_SECONDS: Final = 300.0
#: Milliseconds that the key of a job counts which is given to another queue.
WINDOW_MS: Final = 300_000


class Shared:
    """What all queues of one NATS have together."""

    def __init__(
        self,
        connection: NatsConnection,
        prefix: str,
        replicas: int,
        lease_s: float,
        others: Callable[[], Awaitable[bool]],
    ) -> None:
        """`others` tells whether other engines work on them."""
        self.connection = connection
        self.prefix = prefix
        self.replicas = replicas
        self.lease_s = lease_s
        self.others = others
        self.tries = Tries(connection, f"{prefix}_queue_tries", replicas)
        self.keys = Keys(connection, f"{prefix}_queue_keys", replicas)

    async def open(self) -> None:
        await self.tries.open()
        await self.keys.open()


class JetQueue:
    """Methods raise the errors of the NATS client, `StoreError` and `ServerLost`."""

    def __init__(
        self,
        shared: Shared,
        name: QueueName,
        running: Callable[[], bool],
        gone: Callable[[], None],
    ) -> None:
        """`running` tells whether jobs of it run here; `gone` is called when another engine has
        deleted its consumers."""
        digest = sha256("\0".join((name.name, str(name.topic), name.function_id)).encode())
        stream = f"{shared.prefix}_queue_{digest.hexdigest()[:24]}"
        self.name = name
        self.settings = Settings()
        self.jobs = Stored(shared.connection, stream)
        self.letters = DeadLetters(shared.connection, f"{stream}_dead", name)
        self.lanes = Lanes(
            shared.connection, stream, shared.lease_s, shared.tries, running, shared.others, gone
        )
        self.tries = shared.tries
        self._keys = shared.keys
        self._connection = shared.connection
        self._replicas = shared.replicas
        self._ready = False

    async def ensure(self) -> None:
        """Create its streams if they are not there."""
        if self._ready:
            return
        from nats.js.api import RetentionPolicy, StorageType, StreamConfig

        jobs = StreamConfig(
            name=self.jobs.name,
            description=self.name.text[:1000],
            subjects=[f"{self.jobs.name}.>"],
            retention=RetentionPolicy.WORK_QUEUE,
        )
        dead = StreamConfig(
            name=self.letters.name,
            subjects=[f"{self.letters.name}.>"],
            max_msgs=self.settings.dead_letter_max or -1,
        )
        for stream, config in ((self.jobs, jobs), (self.letters, dead)):
            config.storage = StorageType.FILE
            config.num_replicas = self._replicas
            config.duplicate_window = DEDUPE_SECONDS
            await stream.make(config)
        self._ready = True

    # -- jobs ------------------------------------------------------------------------------------

    async def knows_otherwise(self, job: Job) -> bool:
        """Whether another job has its id: of another function, or under another key."""
        found = await self.find(job.id)
        if isinstance(found, DeadJob):
            found = found.job
        return isinstance(found, Job) and found.once != job.once

    async def put(self, job: Job, now_ms: int, window_ms: int = WINDOW_MS) -> bool:
        """Store a job; whether its key stood for one already, which it does for `window_ms`."""
        await self.ensure()
        record, known_as = encode_job(job), job.id.encode().hex()
        headers = {"Nats-Msg-Id": f"{known_as}.{2**53}"}
        if (problem := self._connection.too_large(record, headers, ROOM)) is not None:
            raise problem
        if not job.once:
            return bool((await self.jobs.put(self._subject(job), record, known_as)).duplicate)
        claim = await self._keys.claim(self.jobs.name, job.once, window_ms, now_ms)
        if claim.row.stored:
            return True
        known_as = f"{known_as}.{claim.claimed}"
        ack = await self.jobs.put(self._subject(job), record, known_as)
        await self._keys.stored(claim)
        return bool(ack.duplicate)

    def _subject(self, job: Job) -> str:
        lane = zlib.crc32(job.group_id.encode()) % LANES
        return f"{self.jobs.name}.{lane}.{token(job.id)}"

    async def cancel(self, message_id: str) -> bool:
        found = await self._waiting(message_id)
        if found is None or not await self.jobs.delete(found.seq or 0):
            return False
        await self.tries.forget(self.jobs.name, found.seq or 0)
        await self.free_key(job_in(found))
        return True

    async def acknowledge(self, arrival: Arrival) -> None:
        """The job has ended: there is nothing of it among the jobs any more."""
        from nats.errors import NoRespondersError

        async def acknowledge() -> bool:
            try:
                await arrival.message.ack_sync(ANSWER_SECONDS)
            except NoRespondersError:
                return False
            return True

        if not await self._connection.ask(acknowledge()):  # its consumer is not there any more
            await self.jobs.delete(arrival.number)
        if arrival.tried is not None:
            await self.tries.forget(self.jobs.name, arrival.number)

    async def free_key(self, job: Job) -> None:
        """The next job of its key is another one."""
        if job.once:
            await self._keys.free(self.jobs.name, job.once)

    async def find(self, message_id: str) -> Job | DeadJob | bool:
        found = await self._waiting(message_id)
        if found is not None:
            return job_in(found)
        found = await self.letters.letter(message_id)
        return False if found is None else dead_in(found)

    async def _waiting(self, message_id: str) -> RawStreamMsg | None:
        await self.ensure()
        return await self.jobs.find(f"{self.jobs.name}.*.{token(message_id)}")

    def place(self, number: int) -> str:
        """What a dead letter is known as whose job has this number."""
        return f"{self.jobs.name}.{number}"

    # -- dead ones -------------------------------------------------------------------------------

    async def dead(self, offset: int, limit: int) -> list[DeadJob]:
        """Newest first."""
        await self.ensure()
        return await self.letters.page(offset, limit)

    async def redrive(self, message_id: str | None) -> int:
        await self.ensure()
        return await self.letters.redrive(message_id, self._again)

    async def _again(self, job: Job, place: str) -> None:
        """Store it anew although its key is known."""
        await self.jobs.put(self._subject(job), encode_job(job), place)

    async def discard(self, message_id: str) -> int:
        await self.ensure()
        found = await self.letters.letter(message_id)
        if found is None or not await self.letters.delete(found.seq or 0):
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
        last = await self.jobs.last()
        if not await still():
            return
        async for records in self.jobs.oldest_first():
            for record in records:
                number = record.seq or 0
                if number <= last and number not in running:
                    job = job_in(record)
                    job.error = reason
                    await self.letters.bury(DeadJob(job, reason, now_ms), self.place(number))
                    await self.jobs.delete(number)
            if (records[-1].seq or 0) > last:
                break
        if not await self.jobs.count():
            await self.tries.forget_all(self.jobs.name)

    async def move(self, other: JetQueue, now_ms: int) -> None:
        """Give all jobs to another queue, if there are any."""
        if not await self.jobs.there():
            return
        await other.ensure()
        async for records in self.jobs.oldest_first():
            for record in records:
                number, data = record.seq or 0, record.data or b""
                try:
                    await other.put(foreign_job(data), now_ms)
                except msgspec.DecodeError as error:
                    await other.letters.bury_unreadable(
                        record.subject or "", data, error, now_ms, self.place(number)
                    )
                await self.jobs.delete(number)

    async def stats(self) -> Stats:
        await self.ensure()
        jobs, dead = await self.jobs.count(), await self.letters.count()
        consumers = await self.lanes.consumers.all()
        active = min(jobs, sum(each.num_ack_pending or 0 for each in consumers))
        return Stats(waiting=jobs - active, active=active, dead=dead)
