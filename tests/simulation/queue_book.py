"""What becomes of each job, kept in the simplest way: the measure of the queues.

A job is *certain* when its producer knows what became of it. What a process that died was asked
for may have happened or not; of those nothing is expected but that they end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from tests.simulation.book import expect

ATTEMPTS = 3


class Fate(Enum):
    """What an answer said about a job; `ASKED` is what no answer came for."""

    ASKED = "asked"
    STORED = "stored"
    REFUSED = "refused"
    DUPLICATE = "duplicate"


@dataclass(kw_only=True)
class Made:
    """A job that was asked for. Times are milliseconds; `once` is the key of its de-duplication,
    for `window`; `gone` says that it was cancelled or discarded, None that it may have been."""

    number: int
    queue: str
    group: str
    made: int
    delay: int = 0
    priority: int = 0
    once: str | None = None
    window: int = 0
    debounce: str | None = None
    fate: Fate = Fate.ASKED
    answered: int = 0
    job_id: str | None = None
    starts: int = 0
    failures: int = 0
    handled: bool = False
    gone: bool | None = False
    replaced: bool | None = False

    @property
    def due(self) -> int:
        return self.made + self.delay

    @property
    def over(self) -> bool:
        """Nobody needs to run it (any more)."""
        ended = self.handled or self.failures >= ATTEMPTS
        return ended or self.gone is not False or self.replaced is not False

    @property
    def waits(self) -> bool:
        """It is stored for certain, and has never run."""
        return self.fate is Fate.STORED and not self.starts and not self.over


@dataclass
class QueueBook:
    """All jobs by number, and which queues are paused for certain."""

    jobs: list[Made] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    redrives: Counter[str] = field(default_factory=Counter)

    def of(self, queue: str, fate: Fate = Fate.STORED) -> Iterator[Made]:
        return (job for job in self.jobs if job.queue == queue and job.fate is fate)

    # -- answers ---------------------------------------------------------------------------------

    def answer(self, job: Made, now: int, job_id: str | None, duplicate: bool | None) -> None:
        """The producer got a receipt, or None; `duplicate` None: that does not say."""
        job.answered = now
        if job_id is None:
            job.fate = Fate.REFUSED
            return
        job.job_id = job_id
        rivals = list(self._rivals(job)) if job.once else []
        known = [each for each in rivals if each.fate is Fate.STORED and each.answered <= job.made]
        certain = not rivals or bool(known)
        if certain and duplicate is not None:
            expect(f"{job.number} is a duplicate", duplicate, bool(known))
        if known:
            expect(f"id of {job.number}", job_id, known[0].job_id)
        if known or duplicate:
            job.fate = Fate.DUPLICATE
            expect(f"starts of the duplicate {job.number}", job.starts, 0)
        elif certain or duplicate is False:
            job.fate = Fate.STORED
        if job.debounce:
            self._replace(job)

    def _rivals(self, job: Made) -> Iterator[Made]:
        """Those that the job may be a duplicate of."""
        for each in self.jobs[: job.number]:
            there = each.fate in (Fate.ASKED, Fate.STORED)
            same = (each.queue, each.once) == (job.queue, job.once)
            if there and same and job.made < each.made + each.window:
                yield each

    def _replace(self, job: Made) -> None:
        """Earlier ones that waited for their time have lost their place to it."""
        for each in self.jobs[: job.number]:
            if (each.queue, each.debounce) == (job.queue, job.debounce) and each.due > job.made:
                known = each.fate is Fate.STORED and each.answered <= job.made
                each.replaced = True if known and each.gone is False else None

    def maybe_replaced(self, job: Made) -> bool:
        """Whether one that nobody knows of may have its place."""
        return any(
            (each.queue, each.debounce) == (job.queue, job.debounce)
            and each.fate is not Fate.REFUSED
            and job.due >= each.made
            for each in self.jobs[job.number + 1 :]
        )

    # -- runs ------------------------------------------------------------------------------------

    def start(self, job: Made, now: int) -> None:
        """The job runs, which it must be allowed to."""
        number = job.number
        expect(f"fate of {number}", job.fate in (Fate.ASKED, Fate.STORED), True)
        expect(f"{number} was cancelled or discarded", job.gone is True, False)
        expect(f"{number} was replaced", job.replaced is True, False)
        expect(f"{job.queue} is paused", job.queue in self.paused, False)
        expect(f"{number} is due", now >= job.due, True)
        if job.queue in ("fifo", "topic"):
            for each in self.of(job.queue):
                if each.group == job.group and each.number < number:
                    expect(f"{each.number} is over before {number}", each.over, True)
        if job.queue == "standard" and not job.starts and not job.delay:
            self._check_priority(job, now)
        job.starts += 1

    def _check_priority(self, job: Made, now: int) -> None:
        """No other one that waited was to come before it."""
        for each in self.of("standard"):
            if each is not job and each.waits and not each.delay and each.answered < now:
                ahead = place(each) + 10 < place(job)
                expect(f"{each.number} comes before {job.number}", ahead, False)

    # -- the end ---------------------------------------------------------------------------------

    def lost(self, dead: set[int]) -> set[int]:
        """Jobs whose receipt came, and which were neither handled nor are dead."""
        return {
            job.number
            for job in self.jobs
            if job.job_id is not None
            and job.fate is not Fate.DUPLICATE
            and not any(self._ended(each, dead) for each in self._same(job))
        }

    def _same(self, job: Made) -> Iterator[Made]:
        """The job, and those that it may be a duplicate of."""
        yield job
        if job.once and job.fate is Fate.ASKED:
            yield from self._rivals(job)

    def _ended(self, job: Made, dead: set[int]) -> bool:
        if job.handled or job.number in dead or job.gone is not False:
            return True
        return job.replaced is not False or bool(job.debounce and self.maybe_replaced(job))


def place(job: Made) -> int:
    """Less is earlier: a point of priority is a second."""
    return job.made - 1000 * job.priority
