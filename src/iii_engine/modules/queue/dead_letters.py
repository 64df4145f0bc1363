"""Dead jobs of the embedded broker: how they come, how they live again, and how many are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from iii_engine.core.clock import Clock
from iii_engine.core.log_gate import LogGate
from iii_engine.core.queue_entry import Entry
from iii_engine.core.queue_keys import Keys
from iii_engine.modules.queue.broker import Done
from iii_engine.modules.queue.job import DeadJob, decode_dead, encode_job, read_dead, read_job
from iii_engine.modules.queue.journal import Journal, Soon
from iii_engine.modules.queue.kept_queue import KeptQueue
from iii_engine.modules.queue.publication import free_key
from iii_engine.modules.queue.reading import BYTES
from iii_engine.modules.queue.shelf import Shelf
from iii_engine.storage.base import LocalStore, StoreError, Transaction
from iii_engine.storage.portion import portion
from iii_sdk.errors import BusError

log = logging.getLogger("iii.queue")

#: Jobs that are moved in one transaction, unless their bytes are too many.
BATCH: Final = 500

#: Ids that a log line names.
SHOWN: Final = 10


class DeadLetters:
    """Works on the `dead` space of any queue; `KeptQueue.dead` counts what is there."""

    def __init__(
        self,
        store: LocalStore,
        journal: Journal,
        keys: Keys,
        clock: Clock,
        soon: Soon,
        log_gate: LogGate,
    ) -> None:
        self._log_gate = log_gate
        self._store = store
        self._soon = soon
        self._journal = journal
        self._keys = keys
        self._clock = clock

    # -- how they come ---------------------------------------------------------------------------

    def bury(self, queue: KeptQueue, key: str, dead: DeadJob) -> None:
        """Move a job that ended; the oldest dead one goes when there are too many."""
        more = False

        def change(transaction: Transaction) -> None:
            nonlocal more
            more = queue.shelf.bury(transaction, key, dead)

        def then() -> None:
            queue.line.forget(key)
            queue.dead += more
            if not more:  # it was dead before, and is the newest now
                queue.oldest.clear()
            self._trim(queue)

        self._journal.add(change, then)

    def bury_all(self, queue: KeptQueue) -> None:
        """All jobs that wait in a closed queue die. Those that run end as they would."""
        buried: list[str] = []

        def change(transaction: Transaction) -> None:
            buried[:] = self._bury_some(transaction, queue)

        def then() -> None:
            for key in buried:
                queue.replaced(key)
            queue.dead += len(buried)
            queue.oldest.clear()
            self._trim(queue)
            if buried and queue.closed is not None and not self._journal.closed:
                self.bury_all(queue)

        self._journal.add(change, then)

    def _bury_some(self, transaction: Transaction, queue: KeptQueue) -> list[str]:
        """The keys of those that die now; none only when none waits, or the queue is open again."""
        shelf, now_ms, reason = queue.shelf, self._now_ms, queue.closed
        if reason is None:
            return []
        for space in (shelf.delayed, shelf.jobs):
            stored = transaction.items(space, limit=BATCH + queue.line.active)
            waiting = (item for item in stored if queue.waits(item[0]))
            found = list(portion(waiting, BYTES))
            for key, record in found:
                shelf.bury(transaction, key, DeadJob(read_job(key, record), reason, now_ms))
            if found:
                return [key for key, _ in found]
        return []

    def _trim(self, queue: KeptQueue) -> None:
        """Drop the oldest of too many; one piece is under way at a time."""
        many = queue.dead - queue.settings.dead_letter_max
        if many <= 0 or queue.dropping:
            return
        if not queue.oldest:
            queue.oldest.extend(self._oldest(queue))
        old = [queue.oldest.popleft() for _ in range(min(many, len(queue.oldest)))]
        gone = 0

        def change(transaction: Transaction) -> None:
            nonlocal gone
            gone = queue.shelf.drop(transaction, old)

        def then() -> None:
            queue.dropping = False
            queue.dead -= gone
            queue.dropped += gone
            self._warn_of_dropped(queue, gone)
            self._trim(queue)

        if old:
            queue.dropping = True
            self._journal.add(change, then)

    def _warn_of_dropped(self, queue: KeptQueue, number: int) -> None:
        """Nobody can have them back: that is told, however many they are."""
        name, most = queue.name.text, queue.settings.dead_letter_max
        before = queue.dropped - number

        def sum_up(_: int) -> None:
            told = queue.dropped - before
            log.warning("queue %s: %d dead letters were dropped within 10 s", name, told)

        if number and self._log_gate.passes(f"queue: dropped {name}", sum_up):
            text = "queue %s: %d dead letters were dropped, the oldest of more than %d"
            log.warning(text, name, number, most)

    def _oldest(self, queue: KeptQueue) -> list[str]:
        """Looked up many at a time: the space of the dead is long."""
        space = queue.shelf.dead
        found = self._store.read(lambda t: list(portion(t.items(space, limit=BATCH), BYTES)))
        return [key for key, _ in found]

    # -- how they live again ---------------------------------------------------------------------

    def redrive(self, queue: KeptQueue, message_id: str, done: Done[int]) -> None:
        """Run one dead job again."""

        def work(transaction: Transaction) -> list[Entry]:
            record = transaction.get(queue.shelf.dead, message_id)
            if record is None:
                return []
            try:
                return [self._revive(transaction, queue, record)]
            except msgspec.DecodeError as error:
                text = f"{message_id} cannot be read, and stays where it is: {error}"
                raise BusError(text, code="redrive_message_failed") from None

        def written(entries: list[Entry] | None, error: BaseException | None) -> None:
            self._revived(queue, entries or [])
            done(None if entries is None else len(entries), error)

        self._store.write(work, written)

    def redrive_all(self, queue: KeptQueue, done: Done[int]) -> None:
        """Run those again that are dead now, in pieces that do not keep the engine from others.

        What cannot be read stays where it is.
        """
        left, total = queue.dead, 0
        unreadable: list[str] = []

        def work(transaction: Transaction) -> tuple[list[Entry], list[str]]:
            revived: list[Entry] = []
            failed: list[str] = []
            rest = transaction.items(
                queue.shelf.dead, limit=min(BATCH, left), offset=len(unreadable)
            )
            for job_id, record in list(portion(rest, BYTES)):
                try:
                    revived.append(self._revive(transaction, queue, record))
                except msgspec.DecodeError:
                    failed.append(job_id)
            return revived, failed

        def written(
            found: tuple[list[Entry], list[str]] | None, error: BaseException | None
        ) -> None:
            nonlocal left, total
            if found is None:
                done(None, error)
                return
            revived, failed = found
            self._revived(queue, revived)
            unreadable.extend(failed)
            left, total = left - len(revived) - len(failed), total + len(revived)
            if (revived or failed) and left > 0:
                self._soon(partial(self._store.write, work, written))
                return
            if unreadable:
                log.error(
                    "queue %s: %d dead jobs cannot be read, and stay where they are: %s",
                    queue.name.text,
                    len(unreadable),
                    ", ".join(unreadable[:SHOWN]),
                )
            done(total, None)

        self._store.write(work, written)

    def _revive(self, transaction: Transaction, queue: KeptQueue, record: bytes) -> Entry:
        """Raises `msgspec.DecodeError`, and has changed nothing then."""
        dead = decode_dead(record).job
        key = self._keys.make(self._now_ms)
        job = queue.shelf.revive(transaction, dead, key)
        return queue.entry(key, job, encode_job(job))

    def _revived(self, queue: KeptQueue, entries: list[Entry]) -> None:
        queue.dead -= len(entries)
        queue.oldest.clear()
        for entry in entries:
            queue.admit(entry)

    # -- how they are seen, go, and move ---------------------------------------------------------

    def page(self, queue: KeptQueue, offset: int, limit: int, done: Done[list[DeadJob]]) -> None:
        """Newest first."""
        try:
            found = self._store.newest(queue.shelf.dead, offset=offset, limit=limit, size=BYTES)
        except StoreError as error:
            done(None, error)
        else:
            done([read_dead(job_id, record) for job_id, record in found], None)

    def discard(self, queue: KeptQueue, message_id: str, done: Done[int]) -> None:
        """Forget one dead job."""

        def discard(transaction: Transaction) -> bool:
            record = transaction.get(queue.shelf.dead, message_id)
            if record is None:
                return False
            free_key(transaction, queue, read_dead(message_id, record).job)
            return transaction.delete(queue.shelf.dead, message_id)

        def written(there: bool | None, error: BaseException | None) -> None:
            queue.dead -= 1 if there else 0
            queue.oldest.clear()
            done(None if error else int(bool(there)), error)

        self._store.write(discard, written)

    def adopt(self, source: Shelf, queue: KeptQueue, then: Callable[[], None]) -> None:
        """Move all jobs of another shelf here: at once, so that they come before later ones."""
        moved: list[Entry] = []

        def change(transaction: Transaction) -> None:
            moved[:] = self._adopt_some(transaction, source, queue)

        def written() -> None:
            for entry in moved:
                queue.admit(entry)
            if not moved:
                then()
            elif not self._journal.closed:
                self._soon(partial(self.adopt, source, queue, then))

        def done(_: None, error: BaseException | None) -> None:
            if error is None:
                written()
            else:
                log.error("jobs for %s cannot be moved now: %s", queue.name.text, error)
                self._journal.add(change, written)

        self._store.write(change, done)

    def _adopt_some(self, transaction: Transaction, source: Shelf, queue: KeptQueue) -> list[Entry]:
        """Those that are moved now; none only when none is left."""
        for space in (source.delayed, source.jobs):
            found = list(portion(transaction.items(space, limit=BATCH), BYTES))
            for key, record in found:
                job = read_job(key, record)
                source.remove(transaction, key, job.id)
                queue.shelf.put(transaction, key, job, record)
            if found:
                return [queue.found(key, record) for key, record in found]
        return []

    @property
    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000
