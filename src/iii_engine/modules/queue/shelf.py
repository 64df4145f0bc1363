"""Where the jobs of one queue are in the store, and the changes made there.

`jobs` are in the order they run, `delayed` in the order they are due, `dead` in the order they
died, by id. `places` has the key of each job whose key is not its id: most need none.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from iii_engine.modules.queue.job import DeadJob, Job, encode_job
from iii_engine.storage.base import Transaction


def is_delayed(key: str) -> bool:
    """Which order a key belongs to: delayed ones have a time and a colon in front."""
    return key[15:16] == ":"


class Shelf:
    """The spaces of one queue below `base`."""

    __slots__ = ("base", "dead", "debounced", "delayed", "jobs", "places")

    def __init__(self, base: str) -> None:
        self.base = base
        self.jobs = f"{base}/jobs"
        self.delayed = f"{base}/delayed"
        self.places = f"{base}/places"
        self.dead = f"{base}/dead"
        self.debounced = f"{base}/debounced"

    def space_of(self, key: str) -> str:
        return self.delayed if is_delayed(key) else self.jobs

    def put(self, transaction: Transaction, key: str, job: Job, record: bytes = b"") -> None:
        """Store a job at its place."""
        transaction.put(self.space_of(key), key, record or encode_job(job))
        if key != job.id:
            transaction.put(self.places, job.id, key.encode())

    def remove(self, transaction: Transaction, key: str, job_id: str) -> bool:
        """Whether it was there."""
        self._lose(transaction, key, job_id)
        return transaction.delete(self.space_of(key), key)

    def discard(self, transaction: Transaction, key: str, job_id: str) -> None:
        """As `remove`, without a look whether it is there."""
        self._lose(transaction, key, job_id)
        transaction.discard(self.space_of(key), key)

    def _lose(self, transaction: Transaction, key: str, job_id: str) -> None:
        """Forget the place of a job. One that took its place and its id keeps what points to it."""
        if key != job_id and transaction.get(self.places, job_id) == key.encode():
            transaction.discard(self.places, job_id)

    def move(
        self, transaction: Transaction, key: str, target: str, job: Job, record: bytes
    ) -> bool:
        """Store a job anew, possibly at another place; False when it came to its end before."""
        if transaction.get(self.space_of(key), key) is None:
            return False
        if key != target:
            transaction.delete(self.space_of(key), key)
        self.put(transaction, target, job, record)
        return True

    def place(self, transaction: Transaction, job_id: str) -> str | None:
        """The key of a job that is not dead."""
        found = transaction.get(self.places, job_id)
        key = job_id if found is None else found.decode()
        return None if transaction.get(self.space_of(key), key) is None else key

    def knows(self, transaction: Transaction, job_id: str) -> bool:
        """Whether there is a job with this id, dead or not."""
        if transaction.get(self.dead, job_id) is not None:
            return True
        return self.place(transaction, job_id) is not None

    # -- dead letters ----------------------------------------------------------------------------

    def bury(self, transaction: Transaction, key: str, dead: DeadJob) -> bool:
        """Move a job to the dead ones; False when it came to its end before."""
        if not self.remove(transaction, key, dead.job.id):
            return False
        again = transaction.delete(self.dead, dead.job.id)  # so that it becomes the newest
        transaction.put(self.dead, dead.job.id, msgspec.json.encode(dead))
        return not again

    def drop(self, transaction: Transaction, job_ids: Iterable[str]) -> int:
        """Forget dead jobs; how many of them there were."""
        return sum(transaction.delete(self.dead, job_id) for job_id in job_ids)

    def revive(self, transaction: Transaction, job: Job, key: str) -> Job:
        """Store a dead job at the end of those that wait, as if it were new.

        Its id is another one if a job that lives has that by now.
        """
        job.renew()
        transaction.delete(self.dead, job.id)
        if self.place(transaction, job.id) is not None:
            job.id = key
        self.put(transaction, key, job)
        return job
