"""Dead jobs of the embedded broker: how they come, how they live again, and how many are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from iii_engine.core.clock import Clock
from iii_engine.core.queue_entry import Entry
from iii_engine.core.queue_keys import Keys
from iii_engine.modules.queue.broker import Done
from iii_engine.modules.queue.job import (
    DeadJob,
    Job,
    decode_dead,
    decode_job,
    encode_job,
    unreadable,
)
from iii_engine.modules.queue.journal import Journal, Soon
from iii_engine.modules.queue.kept_queue import KeptQueue
from iii_engine.modules.queue.shelf import Shelf
from iii_engine.storage.base import LocalStore, Transaction

log = logging.getLogger("iii.queue")

#: Jobs that are moved in one transaction.
BATCH: Final = 500


class DeadLetters:
    """Works on the `dead` space of any queue; `KeptQueue.dead` counts what is there."""

    def __init__(
        self, store: LocalStore, journal: Journal, keys: Keys, clock: Clock, soon: Soon
    ) -> None:
        self._store = store
        self._soon = soon
        self._journal = journal
        self._keys = keys
        self._clock = clock

    def bury(self, queue: KeptQueue, key: str, dead: DeadJob) -> None:
        """Move a job that ended; the oldest dead one goes when there are too many."""
        more = False

        def change(transaction: Transaction) -> None:
            nonlocal more
            more = queue.shelf.bury(transaction, key, dead)

        def then() -> None:
            queue.line.forget(key)
            queue.dead += more
            if not more or dead.job.id in queue.dropped:
                queue.forget_dead([dead.job.id])
            self._trim(queue)

        self._journal.add(change, then)

    def _trim(self, queue: KeptQueue) -> None:
        """Drop the oldest of too many."""
        old: list[str] = []
        gone = 0
        while queue.dead - queue.dropping > queue.settings.dead_letter_max:
            if not queue.oldest:
                self._find_oldest(queue)
            if not queue.oldest:
                break
            old.append(queue.oldest.popleft())
            queue.dropped.add(old[-1])
            queue.dropping += 1

        def change(transaction: Transaction) -> None:
            nonlocal gone
            gone = queue.shelf.drop(transaction, old)

        def then() -> None:
            queue.dropping -= len(old)
            queue.dead -= gone

        if old:
            self._journal.add(change, then)

    def _find_oldest(self, queue: KeptQueue) -> None:
        """Look them up many at a time: the space of the dead is long."""
        space, count = queue.shelf.dead, BATCH + len(queue.dropped)
        found = self._store.read(lambda t: [key for key, _ in t.items(space, limit=count)])
        queue.dropped.intersection_update(found)
        queue.oldest.extend(key for key in found if key not in queue.dropped)

    def bury_all(self, queue: KeptQueue) -> None:
        """All jobs that wait in a closed queue die. Those that run end as they would."""
        shelf, now_ms, reason = queue.shelf, self._now_ms, queue.closed or ""

        def some(transaction: Transaction) -> list[tuple[str, str]]:
            buried: list[tuple[str, str]] = []
            for space in (shelf.delayed, shelf.jobs):
                for key, record in list(transaction.items(space, limit=BATCH + queue.line.active)):
                    if queue.waits(key) and len(buried) < BATCH:
                        job = self._read(key, record)
                        shelf.bury(transaction, key, DeadJob(job, reason, now_ms))
                        buried.append((key, job.id))
            return buried

        def done(buried: list[tuple[str, str]] | None, error: BaseException | None) -> None:
            for key, _ in buried or ():
                queue.replaced(key)
            queue.forget_dead(job_id for _, job_id in buried or ())
            queue.dead += len(buried or ())
            self._trim(queue)
            if error is not None:
                log.error("the jobs of %s cannot be buried: %s", queue.name.text, error)
            elif buried and queue.closed is not None:
                self._soon(partial(self._store.write, some, done))

        self._store.write(some, done)

    def adopt(self, source: Shelf, queue: KeptQueue, then: Callable[[], None]) -> None:
        """Move all jobs of another shelf here."""

        def some(transaction: Transaction) -> list[Entry]:
            moved: list[Entry] = []
            for space in (source.delayed, source.jobs):
                for key, record in list(transaction.items(space, limit=BATCH - len(moved))):
                    job = self._read(key, record)
                    source.remove(transaction, key, job.id)
                    queue.shelf.put(transaction, key, job, record)
                    moved.append(queue.found(key, record))
            return moved

        def done(moved: list[Entry] | None, error: BaseException | None) -> None:
            for entry in moved or ():
                queue.admit(entry)
            if error is not None:
                log.error("the jobs for %s cannot be moved: %s", queue.name.text, error)
            elif moved:
                self._soon(partial(self._store.write, some, done))
            else:
                then()

        self._store.write(some, done)

    def redrive(self, queue: KeptQueue, message_id: str, done: Done[int]) -> None:
        """Run one dead job again."""

        def work(transaction: Transaction) -> list[Entry]:
            record = transaction.get(queue.shelf.dead, message_id)
            return [] if record is None else [self._revive(transaction, queue, record)]

        def written(entries: list[Entry] | None, error: BaseException | None) -> None:
            self._revived(queue, entries or [], [message_id])
            done(None if entries is None else len(entries), error)

        self._store.write(work, written)

    def redrive_all(self, queue: KeptQueue, done: Done[int]) -> None:
        """Run those again that are dead now, in pieces that do not keep the engine from others."""
        left, total = queue.dead, 0
        ids: list[str] = []

        def work(transaction: Transaction) -> list[Entry]:
            found = list(transaction.items(queue.shelf.dead, limit=min(BATCH, left)))
            ids[:] = [job_id for job_id, _ in found]
            return [self._revive(transaction, queue, record) for _, record in found]

        def written(entries: list[Entry] | None, error: BaseException | None) -> None:
            nonlocal left, total
            if entries is None:
                done(None, error)
                return
            self._revived(queue, entries, ids)
            left, total = left - len(entries), total + len(entries)
            if entries and left > 0:
                self._soon(partial(self._store.write, work, written))
            else:
                done(total, None)

        self._store.write(work, written)

    def discard(self, queue: KeptQueue, message_id: str, done: Done[int]) -> None:
        """Forget one dead job."""

        def written(there: bool | None, error: BaseException | None) -> None:
            queue.dead -= 1 if there else 0
            queue.forget_dead([message_id])
            done(None if error else int(bool(there)), error)

        self._store.write(lambda t: t.delete(queue.shelf.dead, message_id), written)

    def _read(self, key: str, record: bytes) -> Job:
        """A stored job; what is none is dealt with as one, by its place."""
        try:
            return decode_job(record)
        except msgspec.DecodeError:
            return unreadable(key, record)

    def _revive(self, transaction: Transaction, queue: KeptQueue, record: bytes) -> Entry:
        key = self._keys.make(self._now_ms)
        job = queue.shelf.revive(transaction, decode_dead(record), key)
        return queue.entry(key, job, encode_job(job))

    def _revived(self, queue: KeptQueue, entries: list[Entry], job_ids: list[str]) -> None:
        queue.dead -= len(entries)
        queue.forget_dead(job_ids)
        for entry in entries:
            queue.admit(entry)

    @property
    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000
