"""Steps of those who look after queues: cancel, discard, redrive, pause and resume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.book import expect
from tests.simulation.queue_book import ATTEMPTS, Fate, Made

if TYPE_CHECKING:
    from tests.simulation.queue_scenario import QueueScenario

QUEUES = ("standard", "fifo", "topic", "keyed")


class Operator:
    """Asks at any time; an answer counts for ever, also when the process ends after it."""

    def __init__(self, scenario: QueueScenario) -> None:
        self._scenario = scenario
        self._world = scenario.world
        self._book = scenario.book
        self._resumes: Counter[str] = Counter()
        self.cancelled = self.redriven = self.paused = 0

    def plan(self, seconds: float) -> None:
        """Steps in the next so many seconds."""
        steps: list[tuple[Callable[[], None], int]] = [
            (self._cancel, 15),
            (self._discard, 4),
            (self._redrive, 6),
            (self._pause, 4),
        ]
        for step, times in steps:
            for _ in range(times):
                self._world.after(self._world.chance.uniform(0, seconds), step)

    def _ask(self, name: str, answered: Callable[[Any], None], **data: Any) -> None:
        """`answered` gets the result, or None when it was refused; nothing if the process dies."""
        self._scenario.ask(f"iii::queue::{name}", data, answered)

    def _choose(self, fits: Callable[[Made], bool]) -> Made | None:
        """One of those that have an id for themselves."""
        found = [
            job
            for job in self._book.jobs
            if job.fate is Fate.STORED and not job.debounce and not job.once and fits(job)
        ]
        return self._world.chance.choice(found) if found else None

    def _cancel(self) -> None:
        job = self._choose(lambda job: not job.over)
        if job is None:
            return
        waited = job.waits
        self._scenario.let_go(job)
        before, job.gone = job.gone, None

        def answered(result: Any) -> None:
            self._world.note(f"cancel {job.number}: {result and result['was']}")
            if result is None:
                return
            if result["cancelled"]:
                self.cancelled += 1
                job.gone = True
            else:
                expect(f"{job.number} waited, and is not there", waited, False)
                job.gone = before

        self._ask("cancel", answered, queue=job.queue, message_id=job.job_id)

    def _discard(self) -> None:
        job = self._choose(lambda job: job.failures >= ATTEMPTS and not job.handled)
        if job is None:
            return
        before, job.gone = job.gone, None

        def answered(result: Any) -> None:
            self._world.note(f"discard {job.number}: {result and result['redriven']}")
            if result is not None:
                job.gone = True if result["redriven"] else before

        self._ask("discard_message", answered, queue=job.queue, message_id=job.job_id)

    def _redrive(self) -> None:
        queue = self._world.chance.choice(QUEUES)
        job = self._choose(lambda job: job.queue == queue and job.failures >= ATTEMPTS)
        self._book.redrives[queue] += 1

        def answered(result: Any) -> None:
            self._world.note(f"redrive of {queue}: {result and result['redriven']}")
            self.redriven += 0 if result is None else result["redriven"]

        if job is not None and self._world.chance.random() < 0.5:
            self._ask("redrive_message", answered, queue=queue, message_id=job.job_id)
        else:
            self._ask("redrive", answered, queue=queue)

    def _pause(self) -> None:
        queue = self._world.chance.choice(QUEUES)
        resumes = self._resumes[queue]

        def answered(result: Any) -> None:
            if result is not None and self._resumes[queue] == resumes:
                self._world.note(f"{queue} is paused")
                self.paused += 1
                self._book.paused.add(queue)

        self._ask("pause", answered, queue=queue)
        self._world.after(self._world.chance.uniform(0.5, 4), self._resume, queue)

    def _resume(self, queue: str) -> None:
        """Until it is answered."""
        self._book.paused.discard(queue)
        self._resumes[queue] += 1
        done = []

        def answered(result: Any) -> None:
            self._world.note(f"{queue} goes on: {result}")
            done.extend([True] if result is not None else [])

        def again() -> None:
            if not done:
                self._resume(queue)

        self._ask("resume", answered, queue=queue)
        self._world.after(1, again)
