"""The broker in Redis: several engines work on the same queues.

A job is leased to one engine, which renews the lease while the job runs; of an engine that dies the
jobs come back when their leases end. Every step is one script, and who does not hold the lease any
more changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from iii_engine.core.engine import Engine
from iii_engine.modules.queue.broker import EXPIRED, Done
from iii_engine.modules.queue.job import (
    DeadJob,
    Draft,
    Job,
    Lease,
    QueueName,
    Receipt,
    encode_job,
)
from iii_engine.modules.queue.redis.asking import Argument, Asking
from iii_engine.modules.queue.redis.bindings import Bindings
from iii_engine.modules.queue.redis.kept import (
    RedisQueue,
    State,
    encode_state,
    job_of,
)
from iii_engine.modules.queue.redis.leases import Leases, pairs
from iii_engine.modules.queue.redis.looking import RedisLooks
from iii_engine.modules.queue.redis.names import (
    CHANGED,
    PAUSED,
    TOPICS,
    WAKE,
    base_of,
    functions_of,
    row_of,
)
from iii_engine.modules.queue.redis.options import REFUSALS, RedisQueueConfig
from iii_engine.modules.queue.redis.pauses import RedisPauses
from iii_engine.modules.queue.redis.scripts import jobs, topics
from iii_engine.modules.queue.settings import Settings
from iii_engine.net.broadcast import Message
from iii_engine.net.redis_broadcast import RedisBroadcast
from iii_engine.storage.base import StoreError
from iii_sdk.errors import BusError

log = logging.getLogger("iii.queue")

#: Milliseconds until jobs are asked for again when that failed.
AGAIN_MS: Final = 500


class RedisBroker(RedisLooks):
    """Everything is a question to Redis; what must be stored is asked until it is."""

    kind = "redis"
    shared = True

    def __init__(self, engine: Engine, config: RedisQueueConfig) -> None:
        self._engine = engine
        self._config = config
        super().__init__(Asking(config.redis_url, engine.timers))
        self._bindings = Bindings(
            self._asking, engine.ids.uuid(), config.binding_ttl_seconds * 1000
        )
        self.pauses: RedisPauses = RedisPauses(self._asking)
        self._broadcast = RedisBroadcast(config.redis_url, self._heard)
        self._queues: dict[QueueName, RedisQueue] = {}
        self._by_base: dict[str, RedisQueue] = {}
        self.leases = Leases(
            self._asking,
            engine.timers,
            config.lease_ms,
            self._queues,
            self._taken_elsewhere,
        )

    @property
    def problem(self) -> str | None:
        """Who listens knows first that the server is lost."""
        return self._broadcast.problem or self._asking.problem or self.leases.problem

    async def open(self) -> None:
        await self._asking.open()
        await self._broadcast.open()
        for channel in (WAKE, CHANGED, PAUSED):
            self._broadcast.listen(channel)
        self._broadcast.returned = self._returned
        self.pauses.reload()
        await self._bindings.open()
        self.leases.open(self._look)

    async def close(self) -> None:
        self._asking.closing = True
        self.leases.close()
        await self._broadcast.close()
        for queue in self._queues.values():
            queue.rest()
            newest_first = sorted(queue.leases.values(), key=lambda lease: -lease.token)
            if newest_first:
                self._asking.ask(jobs.RETURN, [queue.base], pairs(newest_first), _logged)
        await self._asking.close()

    # -- producers -------------------------------------------------------------------------------

    def publish(self, topic: str, draft: Draft, done: Done[Receipt]) -> None:
        unheard = QueueName(topic, True)
        keys = [base_of(unheard), functions_of(topic), TOPICS]
        self._store(keys, draft, row_of(unheard), done)

    def enqueue(self, queue: str, draft: Draft, done: Done[Receipt]) -> None:
        kept = self.queue(QueueName(queue))
        self._store([kept.base], draft, int(kept.settings.limits.ordered), done)

    def _store(
        self, keys: Sequence[str], draft: Draft, last: Argument, done: Done[Receipt]
    ) -> None:
        options = draft.options
        try:
            REFUSALS.check_options(options)
        except BusError as error:
            done(None, error)
            return
        job = draft.job(options.message_id or self._engine.ids.uuid(), self._now_ms)
        arguments: list[Argument] = [
            job.id,
            encode_job(job),
            draft.group_id,
            options.delay_ms,
            options.debounce_ms,
            draft.debounced_as,
            draft.once or "",
            options.dedupe_window_ms,
            self._engine.ids.uuid(),
            last,
        ]

        def receipt(answer: Any) -> Receipt:
            return Receipt(answer[0].decode(), bool(answer[1]))

        self._asking.once(jobs.PUBLISH, keys, arguments, receipt, done)

    # -- topics ----------------------------------------------------------------------------------

    def bind(self, topic: str, function_id: str, settings: Settings) -> None:
        REFUSALS.check_limits(settings.limits)
        queue = self.queue(QueueName(topic, True, function_id))
        queue.settings = settings
        self._bindings.held[queue.name] = settings
        self._bindings.note(queue.name, bound=True)
        self._bindings.hold(queue.name)

    def unbind(self, topic: str, function_id: str, reason: str) -> None:
        """The function stays bound where another engine has workers for it."""
        queue = self.queue(QueueName(topic, True, function_id))
        self._bindings.held.pop(queue.name, None)
        patience_ms = self._config.lease_ms
        if reason == EXPIRED:
            patience_ms = self._config.binding_ttl_seconds * 1000
        most = queue.settings.dead_letter_max
        keys, arguments = self._bindings.unbinding(
            queue.name, reason, self._now_ms, patience_ms, most
        )
        self._bindings.note(queue.name, bound=False)

        def unbound(done: int) -> None:
            if done < 0:
                self._engine.timers.after(self._config.lease_ms / 2000, lambda: ask(1))
            elif not done:
                self._bindings.reload()

        def ask(again: int) -> None:
            held = self._bindings.held
            self._asking.until_done(
                topics.UNBIND,
                keys,
                [*arguments, again],
                unbound,
                unless=lambda: queue.name in held,
            )

        ask(0)

    def bindings(self) -> list[QueueName]:
        return self._bindings.bound()

    # -- consumers -------------------------------------------------------------------------------

    def attach(self, queue: QueueName, settings: Settings, wake: Callable[[], None]) -> None:
        kept = self.queue(queue)
        anew = kept.attached is None or kept.settings.limits != settings.limits
        kept.settings, kept.attached = settings, wake
        if queue in self._bindings.held:
            self._bindings.held[queue] = settings
        if anew:
            self._asking.until_done(jobs.REGROUP, [kept.base], [], lambda _: kept.wake())
        kept.wake()

    def detach(self, queue: QueueName) -> None:
        self.queue(queue).rest()

    def take(self, queue: QueueName, limit: int, done: Callable[[list[Lease]], None]) -> None:
        kept = self.queue(queue)
        limits = kept.settings.limits
        kept.asked, kept.missed = True, False
        if self._asking.lost:  # what runs here was not renewed, and must not be taken
            self.leases.renew()
        arguments: list[Argument] = [
            limit,
            self._config.lease_ms,
            limits.concurrency,
            int(limits.ordered),
            int(limits.single),
            queue.name,
        ]
        self._asking.ask(
            jobs.TAKE, [kept.base, PAUSED], arguments, partial(self._taken, kept, done)
        )

    def _taken(
        self,
        kept: RedisQueue,
        done: Callable[[list[Lease]], None],
        answer: Any,
        error: StoreError | None,
    ) -> None:
        kept.asked = False
        more, next_ms, rows = (0, AGAIN_MS, []) if error is not None else answer
        leases = [lease for row in rows if (lease := self._lease(kept, row)) is not None]
        for lease in leases:
            kept.leases[lease.token] = lease
        done(leases)
        if more or kept.missed:
            kept.wake()
        if next_ms >= 0 and kept.attached is not None:
            kept.wake_after(max(1, next_ms))

    def _lease(self, kept: RedisQueue, row: list[Any]) -> Lease | None:
        """None for what is no job."""
        job_id, record, state, token = row
        try:
            return Lease(kept.name, job_of(job_id, record, state), int(token), None)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.error("queue %s: what is no job is removed: %s", kept.name.text, error)
            self._asking.until_done(jobs.COMPLETE, [kept.base], [job_id, token])
            return None

    def _taken_elsewhere(self, lease: Lease) -> None:
        self.lost(lease)

    def complete(self, lease: Lease, *, cancelled: bool = False) -> None:
        kept = self._ended(lease)
        arguments: list[Argument] = [lease.job.id, lease.token, int(cancelled)]
        self._asking.until_done(jobs.COMPLETE, [kept.base], arguments)

    def retry(self, lease: Lease, job: Job, delay_ms: int) -> None:
        kept = self._ended(lease)
        state = State(job.attempts_made, job.error, handed_back=job.handed_back)
        keys: list[Argument] = [kept.base]
        arguments: list[Argument] = [
            job.id,
            lease.token,
            encode_state(state),
            delay_ms,
            int(kept.settings.limits.ordered),
            kept.settings.dead_letter_max,
            encode_state(replace(state, failed_at=self._now_ms)),
        ]
        if lease.queue.topic:
            keys.append(functions_of(lease.queue.name))
            arguments.append(lease.queue.function_id)
        self._asking.until_done(jobs.RETRY, keys, arguments, lambda _: kept.wake())

    def bury(self, lease: Lease, dead: DeadJob) -> None:
        kept = self._ended(lease)
        state = encode_state(State(dead.job.attempts_made, dead.error, dead.failed_at))
        arguments: list[Argument] = [dead.job.id, lease.token, state, kept.settings.dead_letter_max]
        self._asking.until_done(jobs.BURY, [kept.base], arguments)

    def _ended(self, lease: Lease) -> RedisQueue:
        kept = self.queue(lease.queue)
        kept.leases.pop(lease.token, None)
        return kept

    def topic_queues(self) -> list[QueueName]:
        return self._bindings.all()

    # -- inside ----------------------------------------------------------------------------------

    def queue(self, name: QueueName) -> RedisQueue:
        kept = self._queues.get(name)
        if kept is None:
            kept = self._queues[name] = RedisQueue(name, self._engine.timers)
            self._by_base[kept.base] = kept
        return kept

    def _heard(self, pattern: str, message: Message) -> None:
        if pattern == CHANGED:
            self._bindings.heard(message.data)
            return
        if pattern == PAUSED:
            self.pauses.heard(message.data)
            return
        try:
            base = msgspec.json.decode(message.data, type=str)
        except msgspec.DecodeError:
            return  # of another program
        if (kept := self._by_base.get(base)) is not None:
            kept.wake()

    def _returned(self) -> None:
        """Anything may have been missed while the server was away."""
        self._bindings.keep()
        self._bindings.reload()
        self.pauses.reload()
        for queue in self._queues.values():
            queue.wake()

    def _look(self) -> None:
        """Whether a message was missed; and tell that this engine is there."""
        for queue in self._queues.values():
            queue.wake()
        self._bindings.keep()
        self.pauses.reload()

    @property
    def _now_ms(self) -> int:
        return self._engine.clock.now_ns() // 1_000_000


def _logged(answer: Any, error: StoreError | None) -> None:
    """It is asked again in a while, or does not matter."""
    if error is not None:
        log.debug("queue: %s", error)
