"""The broker in NATS JetStream: several engines work on the same queues.

A job is leased to one engine, which renews the lease while the job runs; of an engine that dies the
jobs come back when their leases end. A retry is the server's: it gives the job out again when its
pause is over. Attempts are counted by deliveries.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import msgspec

from iii_engine.core.engine import Engine
from iii_engine.modules.queue.broker import EXPIRED, REMOVED, Done
from iii_engine.modules.queue.jetstream.bindings import Bindings
from iii_engine.modules.queue.jetstream.kept import JetQueue
from iii_engine.modules.queue.jetstream.notes import Notes
from iii_engine.modules.queue.jetstream.options import REFUSALS, JetConfig
from iii_engine.modules.queue.jetstream.records import token_of
from iii_engine.modules.queue.jetstream.signs import Signs
from iii_engine.modules.queue.jetstream.topics import Topics
from iii_engine.modules.queue.job import (
    DeadJob,
    Draft,
    Job,
    Lease,
    QueueName,
    Receipt,
    Stats,
    foreign_job,
)
from iii_engine.modules.queue.server_broker import GOODBYE_SECONDS, ServerBroker
from iii_engine.modules.queue.settings import Settings
from iii_engine.net.nats_client import NatsConnection, told
from iii_engine.storage.base import StoreError
from iii_engine.tasks import end_tasks

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger("iii.queue")

#: Seconds in which every engine has heard that a subscription has ended.
LATE_SECONDS: Final = 1.0


class JetStreamBroker(ServerBroker):
    kind = "nats"

    def __init__(self, engine: Engine, config: JetConfig) -> None:
        super().__init__(engine)
        self._config = config
        self._connection = NatsConnection(config.nats_url)
        self._notes = Notes(self._connection, f"{config.prefix}_queue_notes", config.replicas)
        self._signs = Signs(self._notes, uuid4().hex, config.lease_ms / 1000)
        self._bindings = Bindings(
            self._connection,
            f"{config.prefix}_queue_bindings",
            config.replicas,
            self._signs,
            lambda binding: self._insist(partial(self._topics.adopt, binding)),
        )
        self._topics = Topics(self._bindings, self.queue, self._running, lambda: self._now_ms)
        self._queues: dict[QueueName, JetQueue] = {}
        self._leases: set[Lease] = set()
        self._ending: set[Lease] = set()
        self._renewing: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str | None:
        where = self._connection.where
        if not self._connection.connected:
            return f"{where} is lost"
        return None if self._bindings.followed else f"{where} does not tell who subscribes"

    async def open(self) -> None:
        await self._connection.open(self._reconnected)
        with told(self._config.nats_url):
            await self._notes.open()
            await self._signs.give()
            await self._bindings.open()
        self._renewing = asyncio.create_task(self._renew())

    async def close(self) -> None:
        self._closing = True
        for queue in self._queues.values():
            queue.wake = None
        if self._connection.client.is_connected:
            await self._tasks.settle(GOODBYE_SECONDS)
        await self._tasks.end()
        if self._connection.connected:
            for queue in self._queues.values():
                await self._logged(queue.close_lanes())
        if self._renewing is not None:
            await end_tasks([self._renewing])
        await self._bindings.close()
        await self._connection.close()

    # -- producers -------------------------------------------------------------------------------

    def publish(self, topic: str, draft: Draft, done: Done[Receipt]) -> None:
        async def store() -> Receipt:
            functions = await self._bindings.functions(topic)
            queues = [QueueName(topic, True, function) for function in functions or [""]]
            receipt = await self._store([self.queue(each) for each in queues], draft)
            if not functions:
                # Only now: who has a function by then is told of a job that is there.
                await self._bindings.put_early(topic)
            return receipt

        self._answer(store(), done)

    def enqueue(self, queue: str, draft: Draft, done: Done[Receipt]) -> None:
        self._answer(self._store([self.queue(QueueName(queue))], draft), done)

    async def _store(self, queues: list[JetQueue], draft: Draft) -> Receipt:
        options, once = draft.options, draft.once
        REFUSALS.check_options(options)
        mark = "" if once is None else sha256(once.encode()).hexdigest()[:24]
        job_id = options.message_id or (f"once-{mark}" if mark else self._engine.ids.uuid())
        now_ms = self._now_ms
        duplicate = True
        for queue in queues:
            delay_ms = max(options.delay_ms, queue.settings.delay_ms)
            job = draft.job(job_id, now_ms, delay_ms)
            if once is not None and await queue.knows_otherwise(job):
                job.id = job_id = f"{job_id}-{mark}"  # the same one whenever it is asked for
            duplicate = await queue.put(job) and duplicate
        return Receipt(job_id, duplicate)

    # -- topics ----------------------------------------------------------------------------------

    def bind(self, topic: str, function_id: str, settings: Settings) -> None:
        REFUSALS.check_limits(settings.limits)
        self.queue(QueueName(topic, True, function_id)).settings = settings
        self._bindings.held.add((topic, function_id))
        self._insist(partial(self._topics.bind, (topic, function_id)))

    def unbind(self, topic: str, function_id: str, reason: str) -> None:
        """The function stays bound where another engine has workers for it."""
        binding = topic, function_id
        self._bindings.held.discard(binding)
        patience = self._config.lease_ms / 1000
        if reason == EXPIRED:
            patience = self._config.binding_ttl_seconds

        async def unbind() -> None:
            revision = await self._topics.unbind(binding, reason, patience)
            if revision is not None:
                bury = partial(self._topics.bury_late, binding, reason, revision)
                self._engine.timers.after(LATE_SECONDS, partial(self._bury_late, bury))

        self._insist(unbind)

    def _bury_late(self, bury: Callable[[], Awaitable[None]]) -> None:
        if not self._closing:
            self._insist(bury)

    def _running(self, queue: QueueName) -> set[int]:
        """The numbers of the jobs that run here."""
        return {
            _message(lease).metadata.sequence.stream
            for lease in self._leases | self._ending
            if lease.queue == queue
        }

    def bindings(self) -> list[QueueName]:
        return [QueueName(topic, True, function) for topic, function in self._bindings.bound()]

    # -- consumers -------------------------------------------------------------------------------

    def attach(self, queue: QueueName, settings: Settings, wake: Callable[[], None]) -> None:
        kept = self.queue(queue)
        anew = kept.wake is None or kept.settings.limits != settings.limits
        kept.settings, kept.wake = settings, wake
        if anew:

            async def reopen() -> None:
                await kept.reopen_lanes()
                if kept.wake is not None:  # still
                    kept.wake()

            self._insist(reopen)
        else:
            wake()

    def detach(self, queue: QueueName) -> None:
        kept = self.queue(queue)
        kept.wake = None
        self._insist(kept.close_lanes)

    def take(self, queue: QueueName, limit: int, done: Callable[[list[Lease]], None]) -> None:
        kept = self.queue(queue)
        leases = [
            lease
            for message in kept.arrived(limit)
            if (lease := self._lease(kept, message)) is not None
        ]
        self._leases.update(leases)
        done(leases)
        if limit > len(leases):
            self._tasks.spawn(self._logged(_want(kept, limit - len(leases))))

    def _lease(self, kept: JetQueue, message: Msg) -> Lease | None:
        """None for a job that is not due yet: it goes back until then."""
        queue, delivery = kept.name, message.metadata
        try:
            job = foreign_job(message.data)
        except msgspec.DecodeError as error:
            self._bury_unreadable(kept, message, error)
            return None
        early_ms = job.process_at - self._now_ms
        if early_ms > 0:
            self._settle(lambda: message.nak(delay=early_ms / 1000))
            return None
        deliveries = (delivery.num_delivered or 1) - (1 if job.process_at else 0)
        job.handed_back = kept.handed_back.pop(delivery.sequence.stream, 0)
        job.attempts_made = max(0, deliveries - 1 - job.handed_back)
        return Lease(queue, job, token_of(delivery), message)

    def _bury_unreadable(self, kept: JetQueue, message: Msg, error: msgspec.DecodeError) -> None:
        async def bury() -> None:
            await kept.bury_unreadable(message.subject, message.data, error, self._now_ms)
            await message.ack_sync()

        self._settle(bury)

    def complete(self, lease: Lease, *, cancelled: bool = False) -> None:
        message, kept = self._ended(lease), self.queue(lease.queue)

        async def complete() -> None:
            if cancelled:
                await kept.free_key(lease.job)
            await message.ack_sync()

        self._settle(complete if cancelled else message.ack_sync, lease)

    def retry(self, lease: Lease, job: Job, delay_ms: int) -> None:
        topic, _, function_id = name = lease.queue
        if name.topic and not self._bindings.wanted((topic, function_id)):
            self.bury(lease, DeadJob(job, job.error or REMOVED, self._now_ms))
            return
        message, kept = self._ended(lease), self.queue(lease.queue)

        async def retry() -> None:
            if job.handed_back:
                await kept.hand_back(message, job)
            await message.nak(delay=delay_ms / 1000)

        self._settle(retry, lease)

    def bury(self, lease: Lease, dead: DeadJob) -> None:
        message, kept = self._ended(lease), self.queue(lease.queue)

        async def bury() -> None:
            await kept.bury(dead)
            await message.ack_sync()

        self._settle(bury, lease)

    def _ended(self, lease: Lease) -> Msg:
        self._leases.discard(lease)
        return _message(lease)

    # -- single jobs, dead ones, numbers ---------------------------------------------------------

    def cancel(self, queue: QueueName, message_id: str, done: Done[bool]) -> None:
        if any(lease.queue == queue and lease.job.id == message_id for lease in self._leases):
            done(False, None)
        else:
            self._answer(self.queue(queue).cancel(message_id), done)

    def find(self, queue: QueueName, message_id: str, done: Done[Job | DeadJob | bool]) -> None:
        self._answer(self.queue(queue).find(message_id), done)

    def dead(self, queue: QueueName, offset: int, limit: int, done: Done[list[DeadJob]]) -> None:
        self._answer(self.queue(queue).dead(offset, limit), done)

    def redrive(self, queue: QueueName, message_id: str | None, done: Done[int]) -> None:
        self._answer(self.queue(queue).redrive(message_id), done)

    def discard(self, queue: QueueName, message_id: str, done: Done[int]) -> None:
        self._answer(self.queue(queue).discard(message_id), done)

    def stats(self, queue: QueueName, done: Done[Stats]) -> None:
        self._answer(self.queue(queue).stats(), done)

    def topic_queues(self) -> list[QueueName]:
        return [QueueName(topic, True, function) for topic, function in self._bindings.all()]

    # -- inside ----------------------------------------------------------------------------------

    def queue(self, name: QueueName) -> JetQueue:
        """The queue, which is created in JetStream when it is first used."""
        kept = self._queues.get(name)
        if kept is None:
            config = self._config
            lease_s = config.lease_ms / 1000
            kept = self._queues[name] = JetQueue(
                self._connection, name, config.prefix, config.replicas, lease_s, self._notes
            )
        return kept

    async def _renew(self) -> None:
        """Keep the leases of what runs, and of what has arrived and will."""
        while True:
            await asyncio.sleep(self._config.lease_ms / 3000)
            await self._logged(self._signs.give())
            waiting = [m for q in self._queues.values() for lane in q.lanes for m in lane.buffer]
            running = [_message(each) for each in self._leases | self._ending]
            for message in [*waiting, *running]:
                await self._logged(message.in_progress())
            for queue in self._queues.values():
                if queue.wake is not None:
                    queue.wake()  # a request for jobs does not stay with the server for ever

    async def _reconnected(self) -> None:
        self._insist(self._signs.give)
        for queue in self._queues.values():
            for lane in queue.lanes:
                lane.forget_requests()
            if queue.wake is not None:
                queue.wake()

    def _told(self) -> AbstractContextManager[None]:
        return told(self._config.nats_url)

    def _settle(self, work: Callable[[], Awaitable[object]], lease: Lease | None = None) -> None:
        """Tell the server what becomes of a job, unless it knows; its lease is kept until then."""

        async def settle() -> None:
            from nats.errors import MsgAlreadyAckdError

            with suppress(MsgAlreadyAckdError):
                await work()

        task = self._insist(settle)
        if lease is not None:
            self._ending.add(lease)
            task.add_done_callback(lambda _: self._ending.discard(lease))

    async def _logged(self, work: Awaitable[object]) -> None:
        try:
            with told(self._config.nats_url):
                await work
        except StoreError as error:
            log.debug("queue: %s", error)


def _message(lease: Lease) -> Msg:
    message: Msg = lease.handle  # type: ignore[assignment]
    return message


async def _want(queue: JetQueue, count: int) -> None:
    for lane in queue.lanes:
        await lane.want(count if len(queue.lanes) == 1 else 1)
