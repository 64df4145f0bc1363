"""The broker in NATS JetStream: several engines work on the same queues.

A job is leased to one engine, which renews the lease while the job runs; of an engine that dies the
jobs come back when their leases end. A retry is the server's: it gives the job out again when its
pause is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from hashlib import sha256
from typing import Final
from uuid import uuid4

import msgspec

from iii_engine.core.engine import Engine
from iii_engine.modules.queue.broker import EXPIRED, REMOVED, Done
from iii_engine.modules.queue.jetstream.bindings import Bindings
from iii_engine.modules.queue.jetstream.kept import JetQueue, Shared
from iii_engine.modules.queue.jetstream.keys import MOST_MS
from iii_engine.modules.queue.jetstream.lane import Arrival
from iii_engine.modules.queue.jetstream.leases import Leases
from iii_engine.modules.queue.jetstream.options import REFUSALS, JetConfig
from iii_engine.modules.queue.jetstream.records import token_of
from iii_engine.modules.queue.jetstream.signs import Signs
from iii_engine.modules.queue.jetstream.topics import Topics
from iii_engine.modules.queue.jetstream.tries import Tried
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
from iii_engine.modules.queue.refusals import NotPossible
from iii_engine.modules.queue.server_broker import GOODBYE_SECONDS, ServerBroker
from iii_engine.modules.queue.settings import Settings
from iii_engine.net.nats_client import NatsConnection, told
from iii_engine.storage.base import StoreError
from iii_engine.tasks import end_tasks

log = logging.getLogger("iii.queue")

#: Seconds in which every engine has heard that a subscription has ended.
LATE_SECONDS: Final = 1.0


class JetStreamBroker(ServerBroker):
    kind = "nats"

    def __init__(self, engine: Engine, config: JetConfig) -> None:
        super().__init__(engine)
        self._config = config
        self._connection = NatsConnection(config.nats_url)
        self._lease_s = config.lease_ms / 1000
        self._signs = Signs(
            self._connection,
            f"{config.prefix}_queue_notes",
            config.replicas,
            uuid4().hex,
            self._lease_s,
        )
        self._shared = Shared(
            self._connection, config.prefix, config.replicas, self._lease_s, self._signs.others
        )
        self._bindings = Bindings(
            self._connection,
            f"{config.prefix}_queue_bindings",
            config.replicas,
            self._signs,
            lambda binding: self._insist(partial(self._topics.adopt, binding)),
            self._answer,
        )
        self.pauses = self._bindings.pauses
        self._queues: dict[QueueName, JetQueue] = {}
        self._leases = Leases(self._lease_s)
        self._topics = Topics(
            self._bindings, self.queue, self._leases.running, lambda: self._now_ms
        )
        self._following: set[QueueName] = set()
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
            await self._signs.open()
            await self._shared.open()
            await self._bindings.open()
        self._leases.begin()
        self._renewing = asyncio.create_task(self._renew())

    async def close(self) -> None:
        self._closing = True
        for queue in self._queues.values():
            queue.lanes.wake = None
        if self._connection.client.is_connected:
            await self._tasks.settle(GOODBYE_SECONDS)
        await self._tasks.end()
        if self._connection.connected:
            for queue in self._queues.values():
                await self._logged(queue.lanes.close())
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

        self._answer(store(), done, stores=True)

    def enqueue(self, queue: str, draft: Draft, done: Done[Receipt]) -> None:
        self._answer(self._store([self.queue(QueueName(queue))], draft), done, stores=True)

    async def _store(self, queues: list[JetQueue], draft: Draft) -> Receipt:
        options, once = draft.options, draft.once
        REFUSALS.check_options(options)
        if options.dedupe_window_ms > MOST_MS:
            raise NotPossible(f"$.dedupe_window_ms: at most {MOST_MS} with the adapter 'nats'")
        mark = "" if once is None else sha256(once.encode()).hexdigest()[:24]
        job_id = options.message_id or (f"once-{mark}" if mark else self._engine.ids.uuid())
        now_ms = self._now_ms
        duplicate = True
        for queue in queues:
            delay_ms = max(options.delay_ms, queue.settings.delay_ms)
            job = draft.job(job_id, now_ms, delay_ms)
            if once is not None and await queue.knows_otherwise(job):
                job.id = job_id = f"{job_id}-{mark}"  # the same one whenever it is asked for
            duplicate = await queue.put(job, now_ms, options.dedupe_window_ms) and duplicate
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

    def bindings(self) -> list[QueueName]:
        return [QueueName(topic, True, function) for topic, function in self._bindings.bound()]

    # -- consumers -------------------------------------------------------------------------------

    def attach(self, queue: QueueName, settings: Settings, wake: Callable[[], None]) -> None:
        kept = self.queue(queue)
        anew = kept.lanes.wake is None or kept.settings.limits != settings.limits
        kept.settings, kept.lanes.wake = settings, wake
        if anew:

            async def reopen() -> None:
                await kept.ensure()
                await kept.lanes.reopen(settings.limits)
                if kept.lanes.wake is not None:  # still
                    kept.lanes.wake()

            self._insist(reopen)
        else:
            wake()

    def detach(self, queue: QueueName) -> None:
        kept = self.queue(queue)
        kept.lanes.wake = None
        self._insist(kept.lanes.close)

    def rest(self, queue: QueueName) -> None:
        self.detach(queue)

    def _follow(self, queue: QueueName) -> None:
        """Another engine has deleted the consumers of the queue: look for those that it has made.

        After a moment, since NATS says the same while it starts.
        """

        def follow() -> None:
            self._following.discard(queue)
            if not self._closing:
                self._insist(self.queue(queue).lanes.follow)

        if queue not in self._following:
            self._following.add(queue)
            self._engine.timers.after(LATE_SECONDS, follow)

    def take(self, queue: QueueName, limit: int, done: Callable[[list[Lease]], None]) -> None:
        kept = self.queue(queue)
        leases = [] if self._leases.stood_still else self._take(kept, limit)
        self._leases.held.update(leases)
        done(leases)
        if limit > len(leases):
            self._tasks.spawn(self._logged(kept.lanes.want(limit - len(leases))))

    def _take(self, kept: JetQueue, limit: int) -> list[Lease]:
        leases = (self._lease(kept, arrival) for arrival in kept.lanes.arrived(limit))
        return [lease for lease in leases if lease is not None]

    def _lease(self, kept: JetQueue, arrival: Arrival) -> Lease | None:
        """None for a job that is not due yet: it goes back until then."""
        message, tried, now_ms = arrival.message, arrival.tried or Tried(), self._now_ms
        try:
            job = foreign_job(message.data)
        except msgspec.DecodeError as error:
            self._bury_unreadable(kept, arrival, error)
            return None
        early_ms = max(job.process_at - now_ms, tried.early_ms(now_ms))
        if early_ms > 0:
            self._settle(lambda: message.nak(delay=early_ms / 1000))
            return None
        job.attempts_made, job.handed_back = tried.attempts, tried.handed_back
        return Lease(kept.name, job, token_of(message.metadata, tried.token), arrival)

    def _bury_unreadable(
        self, kept: JetQueue, arrival: Arrival, error: msgspec.DecodeError
    ) -> None:
        message, place = arrival.message, kept.place(arrival.number)

        async def bury() -> None:
            await kept.letters.bury_unreadable(
                message.subject, message.data, error, self._now_ms, place
            )
            await kept.acknowledge(arrival)

        self._settle(bury)

    def complete(self, lease: Lease, *, cancelled: bool = False) -> None:
        arrival, kept = self._leases.end(lease), self.queue(lease.queue)

        async def complete() -> None:
            if cancelled:
                await kept.free_key(lease.job)
            await kept.acknowledge(arrival)

        self._settle(complete, lease)

    def retry(self, lease: Lease, job: Job, delay_ms: int) -> None:
        topic, _, function_id = name = lease.queue
        if name.topic and not self._bindings.wanted((topic, function_id)):
            self.bury(lease, DeadJob(job, job.error or REMOVED, self._now_ms))
            return
        arrival, kept = self._leases.end(lease), self.queue(lease.queue)
        due = self._now_ms + delay_ms if delay_ms else 0
        tried = Tried(job.attempts_made, job.handed_back, due, delay_ms, lease.token)

        async def retry() -> None:
            await kept.tries.put(kept.jobs.name, arrival.number, tried)
            await arrival.message.nak(delay=max(0, due - self._now_ms) / 1000)

        self._settle(retry, lease)

    def bury(self, lease: Lease, dead: DeadJob) -> None:
        arrival, kept = self._leases.end(lease), self.queue(lease.queue)

        async def bury() -> None:
            await kept.letters.bury(dead, kept.place(arrival.number))
            await kept.acknowledge(arrival)

        self._settle(bury, lease)

    # -- single jobs, dead ones, numbers ---------------------------------------------------------

    def cancel(self, queue: QueueName, message_id: str, done: Done[bool]) -> None:
        if self._leases.has(queue, message_id):
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
            kept = self._queues[name] = JetQueue(
                self._shared,
                name,
                lambda: bool(self._leases.running(name)),
                partial(self._follow, name),
            )
        return kept

    async def _renew(self) -> None:
        """Keep the leases of what runs, and of what has arrived and will."""
        while True:
            if await self._leases.wait():
                for lease in self._leases.give_up():
                    self.lost(lease)
            if self._leases.stood_still:
                self._distrust()
            self._leases.begin()
            await self._logged(self._signs.give())
            lanes = [lane for queue in self._queues.values() for lane in queue.lanes.all]
            waiting = [arrival for lane in lanes for arrival in lane.buffer]
            for arrival in [*waiting, *self._leases.arrivals()]:
                await self._logged(arrival.message.in_progress())
            for queue in list(self._queues.values()):
                if queue.lanes.wake is not None:
                    queue.lanes.wake()  # a request for jobs does not stay there for ever
                    if queue.lanes.untidy:
                        await self._logged(queue.lanes.tidy())

    def _distrust(self) -> None:
        """This engine was frozen, or its server: what has arrived may be others' by now."""
        log.warning("queue: jobs that have arrived are asked for anew: their leases have ended")
        for queue in self._queues.values():
            queue.lanes.forget()
            self._insist(queue.lanes.ask_anew)

    async def _reconnected(self) -> None:
        self._insist(self._signs.give)
        for queue in self._queues.values():
            queue.lanes.reconnected()
            if queue.lanes.wake is not None:
                self._tasks.spawn(self._logged(queue.lanes.tidy()))
                queue.lanes.wake()

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
            self._leases.ending.add(lease)
            task.add_done_callback(lambda _: self._leases.ending.discard(lease))

    async def _logged(self, work: Awaitable[object]) -> None:
        try:
            with told(self._config.nats_url):
                await work
        except StoreError as error:
            log.debug("queue: %s", error)
