"""One queue of the embedded broker: its place in the store, and its line in memory."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from iii_engine.core.clock import Clock
from iii_engine.core.queue_entry import Entry, State
from iii_engine.core.queue_keys import due_of, time_of
from iii_engine.core.queue_line import Line
from iii_engine.core.queue_room import Room
from iii_engine.core.timers import Timer, Timers
from iii_engine.modules.queue.aside import Aside, Blocked
from iii_engine.modules.queue.job import Job, QueueName, Stats, decode_job, read_job
from iii_engine.modules.queue.reading import BYTES
from iii_engine.modules.queue.settings import Settings
from iii_engine.modules.queue.shelf import Shelf, is_delayed
from iii_engine.storage.base import LocalStore, StoreError, Transaction

log = logging.getLogger("iii.queue")

#: Larger records are read again when their job runs.
SMALL: Final = 4096

#: Milliseconds until a job that the store could not read is tried again.
UNREAD_MS: Final = 1000

#: Jobs that are looked at for the time of the newest one.
LAST: Final = 100

#: Seconds between two looks at the clock while delayed jobs wait.
LOOK_SECONDS: Final = 60.0

#: When jobs are due that wait for something else than a time: never.
NEVER: Final = 1 << 62

#: Entries with an end that each new one looks at: more than one, so that they cannot pile up.
SWEEP: Final = 2


class KeptQueue:
    """Counts are of what is stored; who takes jobs is woken when some may run."""

    def __init__(
        self,
        name: QueueName,
        shelf: Shelf,
        settings: Settings,
        store: LocalStore,
        clock: Clock,
        timers: Timers,
        room: Room,
    ) -> None:
        self.name = name
        self.shelf = shelf
        #: The space of idempotency keys; the functions of a topic share theirs.
        self.seen = f"queue/seen/{'topic' if name.topic else 'named'}/{name.name}"
        self.settings = settings
        self._store = store
        self._room = room
        self._clock = clock
        self._timers = timers
        self._timer: Timer | None = None
        self._wake: Callable[[], None] | None = None
        self.line = Line(self._fetch, settings.limits, room)
        self.dead = 0
        self.oldest: deque[str] = deque()  # ids of the dead that are dropped next
        self.dropping = False
        self.dropped = 0  # since the engine started
        self._swept: dict[str, str] = {}  # by space: the last key that was looked at
        #: Why jobs do not wait here any more; None while they do.
        self.closed: str | None = None
        #: Jobs that are being stored for their next attempt, by the place they leave: the id, and
        #: who wants them cancelled.
        self.moving: dict[str, tuple[str, list[Callable[[], None]]]] = {}
        #: Jobs that wait for a function to come back, by its id.
        self.aside: dict[str, Aside] = {}
        self.blocked = Blocked()
        #: Places of jobs that have ended, and are about to be deleted; whether they were cancelled.
        self.ending: dict[str, bool] = {}
        self._count()

    def _count(self) -> None:
        shelf = self.shelf
        jobs, delayed, self.dead = self._store.read(
            lambda t: (t.count(shelf.jobs), t.count(shelf.delayed), t.count(shelf.dead))
        )
        self.line.restore(jobs, delayed)

    def last_ms(self) -> int:
        """The time in the keys of the newest jobs, or 0; priorities move a key off that time."""
        found = self._store.page(self.shelf.jobs, limit=LAST, size=BYTES, descending=True)
        jobs = ((key, read_job(key, record)) for key, record in found)
        times = (job.created_at if job.priority else time_of(key) for key, job in jobs)
        return max(times, default=0)

    # -- who takes -------------------------------------------------------------------------------

    def attach(self, settings: Settings, wake: Callable[[], None]) -> None:
        self.change(settings)
        self._wake = wake
        wake()

    def change(self, settings: Settings) -> None:
        if settings.limits != self.settings.limits:
            self._bring_all_back()  # they wait in another way, if need be
            self.line.change(settings.limits)
        self.settings = settings

    def detach(self) -> None:
        """Nobody takes for now: no job needs to be in memory."""
        self._wake = None
        self._bring_all_back()
        self.line.unload()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wake(self) -> None:
        if self._wake is not None:
            self._wake()

    def take(self, limit: int) -> list[Entry]:
        taken = self.line.take(limit, self.now_ms)
        self.arm()
        return taken

    def arm(self) -> None:
        """Wake who takes when a delayed job is due."""
        if self._wake is None or (due := self.line.next_due_ms()) is None:
            return
        # The clock may be set meanwhile: what is due by it is looked up again.
        seconds = min(max(0, due - self.now_ms) / 1000, LOOK_SECONDS)
        due_ns = self._clock.monotonic_ns() + int(seconds * 1e9)
        if self._timer is not None and not self._timer.cancelled:
            if self._timer.due_ns <= due_ns:
                return
            self._timer.cancel()
        self._timer = self._timers.after(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        self.wake()

    # -- what changed ----------------------------------------------------------------------------

    def entry(self, key: str, job: Job, record: bytes) -> Entry:
        """What memory keeps of a job."""
        delayed = is_delayed(key)
        return Entry(
            key,
            group=job.group_id,
            delayed=delayed,
            due_ms=due_of(key) if delayed else job.process_at,
            attempts=job.attempts_made,
            record=record if len(record) <= SMALL else None,
        )

    def admit(self, entry: Entry) -> None:
        """A job has been stored."""
        self.line.admit(entry)
        if entry.due_ms:
            self.arm()
        self.wake()

    def hold(self, entry: Entry) -> None:
        """A job that failed is stored again: it runs when it is due, and its group waits."""
        self.line.hold(entry)
        self.arm()
        self.wake()

    def set_aside(self, entry: Entry, function_id: str) -> None:
        """A job that was taken waits for its function; in an ordered queue its group waits too."""
        aside = self.aside.get(function_id)
        if aside is None:
            aside = self.aside[function_id] = Aside()
        if not self.settings.limits.ordered or self._block(entry, function_id):
            self.line.skip(entry)
            aside.skip(entry)
        else:
            entry.due_ms = NEVER
            self.line.hold(entry)
            aside.hold(entry, 2 * self._room.ahead)

    def _block(self, entry: Entry, function_id: str) -> bool:
        """Whether the group can wait in the store; else its jobs wait in memory behind this one."""
        if self.blocked.function(entry.group) is None:
            if self.settings.limits.single or len(self.blocked) >= self._room.ahead:
                return False
            self.blocked.add(entry, function_id)
        return True

    def passes(self, entry: Entry, job: Job) -> bool:
        """Set a job aside whose function is waited for already, or whose group waits."""
        ordered = self.settings.limits.ordered
        function_id = (ordered and self.blocked.function(entry.group)) or job.function_id
        if function_id is None or function_id not in self.aside:
            return False
        self.set_aside(entry, function_id)
        return True

    def bring_back(self, function_id: str) -> None:
        """They may run. All let go of their groups first: else each would be offered anew."""
        aside = self.aside.pop(function_id, None)
        if aside is None:
            return
        groups = self.line.groups
        back = [entry for entry in aside.held if entry.held]
        for entry in back:
            groups.drop(entry)
        for entry in back:
            entry.due_ms = 0
            groups.add(entry)
        self.blocked.end(function_id)
        self._go_back(aside)
        self.wake()

    def _go_back(self, aside: Aside) -> None:
        for delayed, key in aside.skipped.items():
            self.line.rewind(key, delayed=delayed)

    def _bring_all_back(self) -> None:
        for function_id in list(self.aside):
            self.bring_back(function_id)

    def waits(self, key: str) -> bool:
        """Whether a stored job does not run."""
        entry = self.line.known(key)
        return entry is None or entry.state is State.WAITING

    def restore(self, key: str, record: bytes) -> None:
        """A job that was withdrawn is still stored: it waits again."""
        self.line.forget(key)
        self.admit(self.found(key, record))

    def replaced(self, key: str) -> None:
        """A job that waited was removed from the store; one that runs by now ends by itself."""
        entry = self.line.known(key)
        if entry is None or entry.state is State.WAITING:
            self.line.withdraw(key, delayed=is_delayed(key))
            self.forget(key)

    def forget(self, key: str) -> None:
        """A job that was withdrawn is not stored any more; those behind it in its group go on."""
        self.line.forget(key)
        function_id = self.blocked.gone(key)
        if function_id is not None:
            self._go_back(self.aside[function_id])
        self.wake()

    def sweep(self, transaction: Transaction, space: str, expired: Callable[[bytes], bool]) -> None:
        """Delete some entries whose time is over: each time the next ones, round and round."""
        found = self._store.page(space, after=self._swept.get(space, ""), limit=SWEEP)
        for key, _ in found:
            record = transaction.get(space, key)
            if record is not None and expired(record):
                transaction.delete(space, key)
        self._swept[space] = found[-1][0] if len(found) == SWEEP else ""

    def record_of(self, entry: Entry) -> bytes | None:
        """The record of a job that was taken; None when it has none now, and is tried again."""
        if entry.record is not None and not entry.delayed:
            return entry.record
        # One that is debounced may be about to be replaced: only the store knows.
        space = self.shelf.space_of(entry.key)
        try:
            record = self._store.read(lambda t: t.get(space, entry.key))
        except StoreError as error:
            log.error("queue %s: a job cannot be read: %s", self.name.text, error)
            record = None
        if record is None:
            entry.due_ms = self.now_ms + UNREAD_MS
            self.hold(entry)
        return record

    @property
    def now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000

    @property
    def stats(self) -> Stats:
        jobs, delayed = self.line.jobs, self.line.delayed
        aside = [entry for each in self.aside.values() for entry in each.held if entry.held]
        held = self.line.groups.held - len(aside)
        due = sum(entry.delayed for entry in aside) + sum(a.due for a in self.aside.values())
        due = min(due, max(0, delayed.stored - delayed.active))
        return Stats(
            waiting=max(0, jobs.stored - jobs.active - held + due),
            active=jobs.active + delayed.active,
            delayed=max(0, delayed.stored - delayed.active - due) + held,
            dead=self.dead,
        )

    def _fetch(self, delayed: bool, after: str, limit: int) -> tuple[list[Entry], bool]:
        """See `Fetch`."""
        space = self.shelf.delayed if delayed else self.shelf.jobs
        found = self._store.page(space, after=after, limit=limit, size=BYTES)
        entries = [self.found(key, record) for key, record in found]
        more = len(found) == limit
        if found and not more:  # at the end, or too large to be read together
            more = bool(self._store.page(space, after=found[-1][0], limit=1))
        return entries, more

    def found(self, key: str, record: bytes) -> Entry:
        """What memory keeps of a record, also of one that is no job."""
        try:
            return self.entry(key, decode_job(record), record)
        except msgspec.DecodeError:  # it is dealt with when its turn has come
            return Entry(key, delayed=is_delayed(key), due_ms=due_of(key) if is_delayed(key) else 0)
