"""A job that was taken from the engine's own store, and its end there."""

from __future__ import annotations

from iii_engine.core.queue_entry import Entry
from iii_engine.modules.queue.job import Lease
from iii_engine.modules.queue.kept_queue import KeptQueue
from iii_engine.storage.base import Transaction


class Held(Lease, eq=False, kw_only=True):
    """A lease of the embedded broker. `delete` is a change of the journal, `deleted` follows it."""

    kept: KeptQueue
    entry: Entry

    def end(self) -> None:
        """The job is done: nobody may take or cancel it any more."""
        self.kept.line.end(self.entry)
        self.kept.ending[self.entry.key] = False

    def delete(self, transaction: Transaction) -> None:
        self.kept.shelf.discard(transaction, self.entry.key, self.job.id)

    def deleted(self) -> None:
        self.kept.ending.pop(self.entry.key, None)
        self.kept.line.forget(self.entry.key)


def held(lease: Lease) -> Held:
    """The lease, which this broker gave."""
    assert isinstance(lease, Held)
    return lease
