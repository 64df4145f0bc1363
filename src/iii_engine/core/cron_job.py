"""One cron job as a state machine: it is told the time and what ended, and says what to run.

Runs of a job never overlap. Ticks that passed are made up for only where its options say so: with
overlap `queue` one that came during a run, with missed `run_once` one of those nobody saw.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, TypeAlias

from iii_engine.core.cron_schedule import NS, Schedule

#: What happens to a tick while a run is going on.
Overlap: TypeAlias = Literal["skip", "queue"]
#: What happens to ticks that nobody saw: the machine slept, its clock jumped, the engine was down.
Missed: TypeAlias = Literal["skip", "run_once"]

#: A tick that is seen later than this was missed; the clock going back further is a jump.
LATE_NS: Final = 60 * NS
#: Ticks that may wait for a run to end; one more drops the oldest.
MAX_QUEUED: Final = 100


class CronJob:
    """Time is the wall clock's, in nanoseconds since the Unix epoch.

    `last_ns` is the latest instant that is known to be handled, if any: with `run_once` what was
    due since then and is past runs at the first look.
    """

    def __init__(
        self,
        schedule: Schedule,
        now_ns: int,
        *,
        overlap: Overlap = "skip",
        missed: Missed = "skip",
        last_ns: int | None = None,
    ) -> None:
        self._schedule = schedule
        self.overlap = overlap
        self._missed = missed
        self._seen_ns = now_ns
        since = now_ns if last_ns is None or missed == "skip" else min(last_ns, now_ns)
        #: The next tick; None when there is none any more.
        self.due_ns = schedule.next_after(since)
        self.running = False
        #: The ticks that wait for the run to end, the next one first.
        self.waiting: deque[int] = deque(maxlen=MAX_QUEUED)
        #: Ticks that did not run, because of a run that was going on or because they were missed.
        self.skipped = 0

    def look(self, now_ns: int) -> int | None:
        """The instant of the tick that is due, if any: `begin` it when nobody else does.

        Look at least every minute.
        """
        if now_ns < self._seen_ns - LATE_NS:
            self.due_ns = self._schedule.next_after(now_ns)
        self._seen_ns = now_ns
        due = self.due_ns
        if due is None or now_ns < due:
            return None
        self.due_ns = self._schedule.next_after(now_ns)
        if now_ns - due > LATE_NS and self._missed == "skip":
            self.skipped += 1
            return None
        if self.running and self.overlap == "skip":
            self.skipped += 1
            return None
        return due

    def begin(self, instant: int) -> bool:
        """Whether this tick runs now; during a run it waits or is skipped."""
        if not self.running:
            self.running = True
            return True
        if self.overlap == "queue":
            self.skipped += len(self.waiting) == MAX_QUEUED
            self.waiting.append(instant)
        else:
            self.skipped += 1
        return False

    def ended(self) -> int | None:
        """The run ended; the instant of the tick that waited and runs next, if any."""
        if self.waiting:
            return self.waiting.popleft()
        self.running = False
        return None

    def rest(self) -> None:
        """Nothing runs, and nothing waits any more."""
        self.running = False
        self.waiting.clear()
