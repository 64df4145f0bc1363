"""One queue in Redis, as this engine sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from iii_engine.core.timers import Timer, Timers
from iii_engine.modules.queue.job import DeadJob, Job, Lease, QueueName, foreign_job, unreadable
from iii_engine.modules.queue.redis.names import base_of
from iii_engine.modules.queue.settings import Settings


class State(Struct, array_like=True):
    """What became of a job since it was made; `failed_at` is that of a dead one."""

    attempts_made: int = 0
    error: str | None = None
    failed_at: int = 0
    handed_back: int = 0


encode_state: Final = msgspec.json.Encoder().encode
decode_state: Final = msgspec.json.Decoder(State).decode


class RedisQueue:
    """Who takes from it, and which of its jobs run here."""

    def __init__(self, name: QueueName, timers: Timers) -> None:
        self.name = name
        self.base = base_of(name)
        self.settings = Settings()
        self.attached: Callable[[], None] | None = None
        self.leases: dict[int, Lease] = {}
        #: Whether a request for jobs is under way, and whether more may have come meanwhile.
        self.asked = False
        self.missed = False
        self._timers = timers
        self._timer: Timer | None = None

    def wake(self) -> None:
        """There may be something to take."""
        if self.asked:
            self.missed = True
        elif self.attached is not None:
            self.attached()

    def wake_after(self, milliseconds: int) -> None:
        """There will be something to take; the earliest of such times counts."""
        timer, before = self._timers.after(milliseconds / 1000, self._due), self._timer
        if before is not None and not before.cancelled:
            if before.due_ns <= timer.due_ns:
                timer.cancel()
                return
            before.cancel()
        self._timer = timer

    def _due(self) -> None:
        self._timer = None
        self.wake()

    def rest(self) -> None:
        """Nobody takes for now."""
        self.attached = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def job_of(job_id: bytes | str, record: bytes, state: bytes) -> Job:
    """A job from what is kept of it."""
    job = foreign_job(record)
    job.id = job_id if isinstance(job_id, str) else job_id.decode()
    if state:
        known = decode_state(state)
        job.attempts_made, job.error = known.attempts_made, known.error
        job.handed_back = known.handed_back
    return job


def dead_of(job_id: bytes | str, record: bytes, state: bytes) -> DeadJob:
    """What is none is shown as one."""
    try:
        job, known = job_of(job_id, record, state), decode_state(state)
    except msgspec.DecodeError as error:
        name = job_id if isinstance(job_id, str) else job_id.decode("utf-8", "replace")
        return DeadJob(unreadable(name, record), f"unreadable: {error}", 0)
    return DeadJob(job, known.error or "", known.failed_at)
