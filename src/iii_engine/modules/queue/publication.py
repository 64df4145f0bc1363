"""The change of the store that makes a job, as a function over a transaction.

So it can share a transaction with changes of other modules: `write` in it, `committed` after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from iii_engine.core.queue_entry import Entry
from iii_engine.core.queue_keys import DUE_DIGITS, Keys, delayed_key, due_of
from iii_engine.modules.queue.job import Draft, Job, Receipt, encode_job
from iii_engine.modules.queue.kept_queue import KeptQueue
from iii_engine.modules.queue.topic_table import Bound
from iii_engine.storage.base import Transaction


class Seen(Struct):
    """The job that an idempotency key stands for, until a time in milliseconds."""

    id: str
    until: int


decode_seen: Final = msgspec.json.Decoder(Seen).decode


def free_key(transaction: Transaction, queue: KeptQueue, job: Job) -> None:
    """The job was cancelled or discarded: its producer may make it anew."""
    if job.once is not None:
        found = transaction.get(queue.seen, job.once)
        if found is not None and decode_seen(found).id == job.id:
            transaction.delete(queue.seen, job.once)


class Publication(Struct, eq=False):
    """One job for each of some queues, which share the space of their idempotency keys.

    `bindings` are stored as well: those of the queues that are not known to be stored. `added` and
    `replaced` are what `write` did.
    """

    queues: Sequence[KeptQueue]
    draft: Draft
    keys: Keys
    now_ms: int
    bindings: Sequence[Bound] = ()
    added: list[tuple[KeptQueue, Entry]] = []
    replaced: list[tuple[KeptQueue, str]] = []

    def write(self, transaction: Transaction) -> Receipt:
        """Store the jobs, or find that they are stored already."""
        options, once = self.draft.options, self.draft.once
        if once is not None and (found := self._look(transaction, once)) is not None:
            return Receipt(found, duplicate=True)
        for bound in self.bindings:
            bound.save(transaction)
        key = self.keys.make(self.now_ms)
        job_id = options.message_id or key
        for queue in self.queues:
            job_id = self._put(transaction, queue, key, job_id)
        if once is not None:
            seen = Seen(job_id, self.now_ms + options.dedupe_window_ms)
            space = self.queues[0].seen
            transaction.delete(space, once)  # so that the newest is last
            transaction.put(space, once, msgspec.json.encode(seen))
        return Receipt(job_id)

    def committed(self) -> None:
        """What `write` did is in the store: let the jobs run."""
        for queue, key in self.replaced:
            queue.replaced(key)
        for queue, entry in self.added:
            queue.admit(entry)

    def _put(self, transaction: Transaction, queue: KeptQueue, key: str, job_id: str) -> str:
        draft, options, settings = self.draft, self.draft.options, queue.settings
        if job_id != key and queue.shelf.knows(transaction, job_id):
            job_id = key  # a job of an earlier message with this id is still there
        delay = max(options.delay_ms, settings.delay_ms, options.debounce_ms)
        job = draft.job(job_id, self.now_ms, delay)
        job.priority = options.priority
        if options.debounce_ms:
            self._debounce(transaction, queue, job)
        if delay and not settings.limits.ordered:
            key = delayed_key(job.process_at, job.id)
        elif options.priority and not settings.limits.ordered:
            key = self.keys.make(self.now_ms, options.priority * settings.priority_aging_ms)
        record = encode_job(job)
        queue.shelf.put(transaction, key, job, record)
        self.added.append((queue, queue.entry(key, job, record)))
        return job.id

    def _debounce(self, transaction: Transaction, queue: KeptQueue, job: Job) -> None:
        """Take the place of the job that still waits under the same debounce key."""
        shelf, now_ms = queue.shelf, self.now_ms
        name = self.draft.debounced_as
        queue.sweep(transaction, shelf.debounced, lambda value: due_of(value.decode()) <= now_ms)
        found = transaction.get(shelf.debounced, name)
        if found is not None:
            before = found.decode()
            if due_of(before) > now_ms and transaction.get(shelf.delayed, before) is not None:
                job.id = before[DUE_DIGITS + 1 :]
                shelf.remove(transaction, before, job.id)
                self.replaced.append((queue, before))
            transaction.delete(shelf.debounced, name)
        transaction.put(shelf.debounced, name, delayed_key(job.process_at, job.id).encode())

    def _look(self, transaction: Transaction, once: str) -> str | None:
        """The job with this idempotency key; old keys go on the way."""
        queue, now_ms = self.queues[0], self.now_ms
        queue.sweep(transaction, queue.seen, lambda record: decode_seen(record).until <= now_ms)
        found = transaction.get(queue.seen, once)
        if found is None or (seen := decode_seen(found)).until <= now_ms:
            return None
        return seen.id
