"""Functions that the jobs of one queue wait for, because their workers are away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from iii_engine.core.engine import Engine
from iii_engine.core.timers import Timer
from iii_engine.modules.queue.job import Job, QueueName

log = logging.getLogger("iii.queue")


class Absent:
    """A function that was here is expected back, and so are those of an earlier engine's jobs.

    `patience_seconds` after its first job began to wait nobody expects it any more: then its jobs
    fail as those do whose function was never there. `back` is called at the end of the waiting.
    """

    def __init__(self, engine: Engine, queue: QueueName, back: Callable[[str], None]) -> None:
        self._engine = engine
        self._queue = queue
        self._back = back
        self._since_ms = self._now_ms
        self._awaited: dict[str, tuple[Timer, Callable[[], None]]] = {}
        self.patience_seconds = 86_400.0

    def __contains__(self, function_id: str) -> bool:
        return function_id in self._awaited

    def expects(self, function_id: str, job: Job) -> bool:
        """Whether the function of a job, which is not there, may come back."""
        if function_id in self._engine.registry.departed:
            return True
        age_ms = self._now_ms - self._since_ms
        return job.created_at < self._since_ms and age_ms < self.patience_seconds * 1000

    def wait(self, function_id: str) -> None:
        """A job waits for it."""
        if function_id in self._awaited:
            return
        returned = partial(self._end, function_id)
        timer = self._engine.timers.after(self.patience_seconds, partial(self._lose, function_id))
        self._awaited[function_id] = timer, returned
        self._engine.registry.await_provider(function_id, returned)
        gate_text = "queue %s: jobs wait for %s, which no worker provides now"
        if self._engine.log_gate.passes("queue: a function is away", _and_more):
            log.warning(gate_text, self._queue.text, function_id)

    def close(self) -> None:
        """Nobody waits any more."""
        for function_id in list(self._awaited):
            self._forget(function_id)

    def _lose(self, function_id: str) -> None:
        self._engine.registry.departed.forget(function_id)
        self._end(function_id)

    def _end(self, function_id: str) -> None:
        self._forget(function_id)
        self._back(function_id)

    def _forget(self, function_id: str) -> None:
        timer, returned = self._awaited.pop(function_id)
        timer.cancel()
        self._engine.registry.stop_awaiting(function_id, returned)

    @property
    def _now_ms(self) -> int:
        return self._engine.clock.now_ns() // 1_000_000


def _and_more(count: int) -> None:
    log.warning("queues: jobs wait for %d more functions that no worker provides now", count)
