"""The broker in the engine's own store: a job is one record, its end one deletion."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from iii_engine.core.engine import Engine
from iii_engine.core.queue_keys import Keys, delayed_key
from iii_engine.core.queue_room import Room
from iii_engine.modules.queue.broker import REMOVED, Broker, Done
from iii_engine.modules.queue.dead_letters import DeadLetters
from iii_engine.modules.queue.held import Held, held
from iii_engine.modules.queue.job import (
    DeadJob,
    Draft,
    Job,
    Lease,
    QueueName,
    Receipt,
    Stats,
    decode_job,
    encode_job,
    read_dead,
    read_job,
    unreadable,
)
from iii_engine.modules.queue.journal import Journal, Soon
from iii_engine.modules.queue.kept_queue import KeptQueue
from iii_engine.modules.queue.publication import Publication, free_key
from iii_engine.modules.queue.settings import Settings
from iii_engine.modules.queue.shelf import Shelf, is_delayed
from iii_engine.modules.queue.tokens import Tokens
from iii_engine.modules.queue.topic_table import Bound, TopicTable
from iii_engine.storage.base import LocalStore, Transaction

#: Bytes of small records that all queues together keep in memory.
ROOM: Final = 64 << 20

#: Jobs that wait in memory without need, of all queues together: some hundred bytes each.
PLACES: Final = 100_000

#: So many jobs of absent functions are passed over at once, or one batch: a few milliseconds.
PASSED: Final = 200

#: What the spaces of named queues begin with.
NAMED: Final = "queue/named/"

log = logging.getLogger("iii.queue")


class EmbeddedBroker(Broker):
    """Jobs in the spaces `queue/…`; what is known of them in memory is bounded."""

    kind = "builtin"

    def __init__(self, engine: Engine, store: LocalStore, soon: Soon) -> None:
        self._clock = engine.clock
        self._timers = engine.timers
        self.store = store
        self._keys = Keys(engine.ids)
        self._room = Room(ROOM, PLACES)
        self._queues: dict[QueueName, KeptQueue] = {}
        self.topics = TopicTable(engine.ids)
        self.journal = Journal(store, engine.timers, soon)
        self._tokens = Tokens(store, self.journal)
        self._letters = DeadLetters(
            store, self.journal, self._keys, engine.clock, soon, engine.log_gate
        )

    async def open(self) -> None:
        self.store.read(self.topics.load)
        self._tokens.open(self._now_ms)
        self._room.queues = sum(1 for _ in self.topics)
        for bound in [each for each in self.topics if each.removed]:
            self._tidy(bound)

    def _tidy(self, bound: Bound) -> None:
        """Forget a binding that was removed, when it has no dead letters; bury what ran then."""
        queue = self.queue(bound.name)
        if queue.line.depth:
            queue.closed = REMOVED
            self._letters.bury_all(queue)
        elif not queue.dead:
            self.topics.drop(bound)
            del self._queues[bound.name]
            self.journal.add(bound.forget, _nothing)

    async def close(self) -> None:
        await self.journal.close()
        for queue in self._queues.values():
            queue.detach()

    # -- producers -------------------------------------------------------------------------------

    def publish(self, topic: str, draft: Draft, done: Done[Receipt]) -> None:
        self.submit(self.publication(topic, draft), done)

    def enqueue(self, queue: str, draft: Draft, done: Done[Receipt]) -> None:
        self.submit(self.enqueuing(queue, draft), done)

    def publication(self, topic: str, draft: Draft) -> Publication:
        """What `publish` writes, for a transaction that does more than that."""
        bound = self.topics.of(topic) or [self._bind(topic, "", 0)]
        return Publication(
            [self.queue(each.name) for each in bound],
            draft,
            self._keys,
            self._now_ms,
            self.topics.unsaved(topic),
        )

    def enqueuing(self, queue: str, draft: Draft) -> Publication:
        """What `enqueue` writes, for a transaction that does more than that."""
        return Publication([self.queue(QueueName(queue))], draft, self._keys, self._now_ms)

    def submit(self, publication: Publication, done: Done[Receipt]) -> None:
        """Write it in a transaction of its own."""

        def written(receipt: Receipt | None, error: BaseException | None) -> None:
            try:
                if error is None:
                    publication.committed()
            except Exception:  # the job is stored: who made it must be told so
                log.exception("after a job was stored")
            done(receipt, error)

        self.store.write(publication.write, written)

    # -- topics ----------------------------------------------------------------------------------

    def bind(self, topic: str, function_id: str, settings: Settings) -> None:
        self._bind(topic, function_id, settings.delay_ms)

    def unbind(self, topic: str, function_id: str, reason: str) -> None:
        bound = self.topics.get(QueueName(topic, topic=True, function_id=function_id))
        if bound is not None and not bound.removed:
            bound.removed = True
            self._save(bound)
            queue = self.queue(bound.name)
            queue.closed = reason
            queue.detach()
            self._letters.bury_all(queue)

    def bindings(self) -> list[QueueName]:
        return [each.name for each in self.topics if each.function_id and not each.removed]

    def _bind(self, topic: str, function_id: str, delay_ms: int) -> Bound:
        bound, before = self.topics.put(topic, function_id)
        bound.delay_ms = delay_ms
        kept = None if before is None else self._queues.pop(before.name, None)
        if before is None:
            self._save(bound)
        elif before.base == bound.base:
            if kept is not None:
                kept.name = bound.name
                self._queues[bound.name] = kept
            self._save(bound, before)
        else:  # it had been unbound, and has dead letters in a place of its own
            queue = self.queue(bound.name)
            self._letters.adopt(Shelf(before.base), queue, partial(self._save, bound, before))
        self.queue(bound.name).closed = None
        return bound

    def _save(self, bound: Bound, before: Bound | None = None) -> None:
        def change(transaction: Transaction) -> None:
            if before is not None:
                before.forget(transaction)
            bound.save(transaction)

        self.journal.add(change, partial(self.topics.saved, bound))

    # -- consumers -------------------------------------------------------------------------------

    def attach(self, queue: QueueName, settings: Settings, wake: Callable[[], None]) -> None:
        self.queue(queue).attach(settings, wake)

    def detach(self, queue: QueueName) -> None:
        self.queue(queue).detach()

    def take(self, queue: QueueName, limit: int, done: Callable[[list[Lease]], None]) -> None:
        kept = self.queue(queue)
        leases: list[Lease] = []
        passed = 0
        while passed < PASSED and (more := self._lease(kept, limit - len(leases), leases)):
            passed += more
        if passed:
            kept.wake()  # there may be others behind them
        done(leases)

    def _lease(self, kept: KeptQueue, limit: int, leases: list[Lease]) -> int:
        """How many of them wait for a function as others do already."""
        passed = 0
        for entry in kept.take(limit):
            if (record := kept.record_of(entry)) is None:
                continue
            try:
                job = decode_job(record)
            except msgspec.DecodeError as error:
                log.error("queue %s: what is no job is dead: %s", kept.name.text, error)
                kept.line.end(entry)
                dead = DeadJob(unreadable(entry.key, record), f"unreadable: {error}", self._now_ms)
                self._letters.bury(kept, entry.key, dead)
            else:
                if kept.aside and kept.passes(entry, job):
                    passed += 1
                else:
                    leases.append(Held(kept.name, job, self._tokens.make(), kept=kept, entry=entry))
        return passed

    def complete(self, lease: Lease, *, cancelled: bool = False) -> None:
        job = held(lease)
        job.end()
        if cancelled:
            self._cancelled(job.kept, job.entry.key, lease.job, [])
        else:
            self.journal.add(job.delete, job.deleted)

    def _cancelled(
        self, kept: KeptQueue, key: str, job: Job, cancels: Sequence[Callable[[], None]]
    ) -> None:
        """Delete a job that ran, and tell those who cancelled it."""
        kept.ending[key] = True

        def change(transaction: Transaction) -> None:
            kept.shelf.discard(transaction, key, job.id)
            free_key(transaction, kept, job)

        def removed() -> None:
            kept.ending.pop(key, None)
            kept.line.forget(key)
            for each in cancels:
                each()

        self.journal.add(change, removed)

    def retry(self, lease: Lease, job: Job, delay_ms: int) -> None:
        kept, entry = held(lease).kept, held(lease).entry
        if kept.closed is not None:
            self.bury(lease, DeadJob(job, job.error or kept.closed, self._now_ms))
            return
        job.process_at = self._now_ms + delay_ms
        ordered = kept.settings.limits.ordered
        key = entry.key if ordered else delayed_key(job.process_at, job.id)
        record = encode_job(job)
        again = kept.entry(key, job, record)
        cancels: list[Callable[[], None]] = []
        kept.moving[entry.key] = (job.id, cancels)
        moved = False
        if not ordered:
            kept.line.end(entry)

        def change(transaction: Transaction) -> None:
            nonlocal moved
            moved = kept.shelf.move(transaction, entry.key, key, job, record)

        def then() -> None:
            del kept.moving[entry.key]
            if not ordered:
                kept.line.forget(entry.key)
            elif cancels or not moved:
                kept.line.end(entry)
            if not moved:  # it was replaced at the very moment it was taken
                kept.line.forget(entry.key)
                for each in cancels:
                    each()
            elif cancels:
                self._cancelled(kept, key, job, cancels)
                kept.wake()  # those behind it in its group
            elif ordered:
                entry.due_ms = again.due_ms
                kept.hold(entry)
            else:
                kept.admit(again)
            if kept.closed is not None:
                self._letters.bury_all(kept)

        self.journal.add(change, then)

    def bury(self, lease: Lease, dead: DeadJob) -> None:
        kept, entry = held(lease).kept, held(lease).entry
        kept.line.end(entry)
        self._letters.bury(kept, entry.key, dead)

    def set_aside(self, lease: Lease, function_id: str) -> None:
        held(lease).kept.set_aside(held(lease).entry, function_id)

    def bring_back(self, queue: QueueName, function_id: str) -> None:
        self.queue(queue).bring_back(function_id)

    # -- single jobs -----------------------------------------------------------------------------

    def cancel(self, queue: QueueName, message_id: str, done: Done[bool]) -> None:
        kept = self.queue(queue)
        for job_id, cancels in kept.moving.values():
            if job_id == message_id:
                cancels.append(lambda: done(True, None))
                return
        withdrawn: list[tuple[str, bytes]] = []

        def change(transaction: Transaction) -> None:
            key = kept.shelf.place(transaction, message_id)
            # One that ran until now must not run again after a restart.
            if key is None or not (key in kept.ending or kept.waits(key)):
                return
            record = transaction.get(kept.shelf.space_of(key), key) or b""
            kept.shelf.remove(transaction, key, message_id)
            if kept.ending.get(key, True):
                free_key(transaction, kept, read_job(key, record))
            if key not in kept.ending:
                # At once: nobody may take it while this is committed.
                kept.line.withdraw(key, delayed=is_delayed(key))
                withdrawn.append((key, record))

        def written(_: None, error: BaseException | None) -> None:
            for key, record in withdrawn:
                if error is None:
                    kept.forget(key)
                else:
                    kept.restore(key, record)
            done(None if error else bool(withdrawn), error)

        self.store.write(change, written)

    def find(self, queue: QueueName, message_id: str, done: Done[Job | DeadJob | bool]) -> None:
        shelf = self.queue(queue).shelf

        def look(transaction: Transaction) -> Job | DeadJob | bool:
            key = shelf.place(transaction, message_id)
            if key is not None:
                return read_job(key, transaction.get(shelf.space_of(key), key) or b"")
            record = transaction.get(shelf.dead, message_id)
            return False if record is None else read_dead(message_id, record)

        self.store.query(look, done)

    # -- dead letters ----------------------------------------------------------------------------

    def dead(self, queue: QueueName, offset: int, limit: int, done: Done[list[DeadJob]]) -> None:
        self._letters.page(self.queue(queue), offset, limit, done)

    def redrive(self, queue: QueueName, message_id: str | None, done: Done[int]) -> None:
        bound = self.topics.get(queue) if queue.topic else None
        if bound is not None and bound.removed:
            log.warning("queue %s: nothing is redriven: %s", queue.text, REMOVED)
            done(0, None)  # nobody would take it
            return
        kept = self.queue(queue)
        if message_id is None:
            self._letters.redrive_all(kept, done)
        else:
            self._letters.redrive(kept, message_id, done)

    def discard(self, queue: QueueName, message_id: str, done: Done[int]) -> None:
        self._letters.discard(self.queue(queue), message_id, done)

    # -- numbers ---------------------------------------------------------------------------------

    def stats(self, queue: QueueName, done: Done[Stats]) -> None:
        done(self.queue(queue).stats, None)

    def dropped(self, queue: QueueName) -> int:
        return self.queue(queue).dropped

    def named_queues(self) -> list[str]:
        spaces = self.store.read(lambda t: t.spaces(NAMED))
        return list(dict.fromkeys(space[len(NAMED) :].rpartition("/")[0] for space in spaces))

    def topic_queues(self) -> list[QueueName]:
        return list(self.topics.names())

    # -- inside ----------------------------------------------------------------------------------

    def queue(self, name: QueueName) -> KeptQueue:
        """The queue, read from the store when it is first needed."""
        kept = self._queues.get(name)
        if kept is None:
            bound = self.topics.get(name) if name.topic else None
            base = f"{NAMED}{name.name}" if bound is None else bound.base
            settings = Settings(delay_ms=0 if bound is None else bound.delay_ms)
            kept = self._queues[name] = KeptQueue(
                name, Shelf(base), settings, self.store, self._clock, self._timers, self._room
            )
            self._room.queues = max(self._room.queues, len(self._queues))
            self._keys.follow(kept.last_ms())
        return kept

    @property
    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000


def _nothing() -> None:
    pass
