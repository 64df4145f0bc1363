"""The jobs of one queue: which may run now, which later, and which are not in memory.

Jobs are stored in two orders: `jobs`, by place, and `delayed`, by the time they are due. Memory has
the first jobs of each; the rest is fetched as those go. So a queue of a million jobs takes the
memory of some thousand.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeAlias

from iii_engine.core.queue_entry import Entry, State
from iii_engine.core.queue_groups import Groups
from iii_engine.core.queue_limits import Limits
from iii_engine.core.queue_part import Part
from iii_engine.core.queue_room import Room

#: Gets `(delayed, after, limit)`: the next stored jobs of an order, with keys greater than `after`,
#: and whether there may be more. They can be fewer than `limit`, but none only at the end.
Fetch: TypeAlias = Callable[[bool, str, int], tuple[list[Entry], bool]]


class Line:
    """Decides what runs; stores nothing. Times are milliseconds since the epoch.

    A job is admitted once it is stored. It stays known after it has ended, until `forget` says
    that the store knows that too: else it could be fetched again.
    """

    def __init__(self, fetch: Fetch, limits: Limits, room: Room) -> None:
        self._fetch = fetch
        self._room = room
        self.groups = Groups(limits)
        self.jobs = Part()
        self.delayed = Part()
        self._due: list[Entry] = []  # of the delayed ones in memory: a heap
        self._withdrawn = 0  # of those in the heap
        self._known: dict[str, Entry] = {}

    def restore(self, jobs: int, delayed: int) -> None:
        """So many are stored, and none is in memory yet."""
        self.jobs.stored, self.delayed.stored = jobs, delayed
        self.unload()

    def change(self, limits: Limits) -> None:
        """Other limits from now on."""
        known = self._known.values()
        self.groups.change(limits, [e for e in known if e.held or e.state is State.ACTIVE])

    def unload(self) -> None:
        """Nobody takes for now: forget what waits, until somebody does."""
        waiting = [*self.groups.waiting(), *self._due]
        for entry in waiting:
            if entry.state is State.WAITING:
                self._forget_waiting(entry)
                self._part(entry).loaded -= 1
        self.groups.keep([])
        self._due.clear()
        self._withdrawn = 0
        for part in (self.jobs, self.delayed):
            part.horizon = part.last = ""

    # -- what comes ------------------------------------------------------------------------------

    def admit(self, entry: Entry) -> None:
        """A job has been stored."""
        part = self._part(entry)
        part.stored += 1
        if entry.key in self._known:
            return  # it was fetched a moment ago
        if part.horizon is None and part.loaded >= self._room.window and entry.key > part.last:
            part.horizon = part.last
        elif part.covers(entry.key):
            self._load(part, entry)
            if part.loaded > 2 * self._room.ahead:
                self._trim(entry.delayed)

    def take(self, limit: int, now_ms: int) -> list[Entry]:
        """Up to so many jobs to run now; each ends with `end`, `hold` or `skip`."""
        groups, jobs, few = self.groups, self.jobs, self._room.window // 4
        groups.wake(now_ms)
        taken: list[Entry] = []
        while len(taken) < limit:
            self._promote(now_ms)
            if jobs.horizon is not None and jobs.loaded <= few:
                self._refill(delayed=False)
            entry = groups.pop(now_ms)
            if entry is not None:
                entry.state = State.ACTIVE
                part = self._part(entry)
                part.loaded -= 1
                part.active += 1
                taken.append(entry)
            elif not self._look_ahead():
                break
        return taken

    def next_due_ms(self) -> int | None:
        """When `take` may have more to give although nothing else happened."""
        if not self._due:
            self._refill(delayed=True)
        due = self.groups.next_due_ms()
        if self._due and (due is None or self._due[0].due_ms < due):
            due = self._due[0].due_ms
        return due

    # -- what goes -------------------------------------------------------------------------------

    def end(self, entry: Entry) -> None:
        """A taken job is done, dead, or about to be stored at another place."""
        entry.state = State.GONE
        self._let_go(entry)
        part = self._part(entry)
        part.active -= 1
        part.stored -= 1
        self.groups.release(entry)

    def hold(self, entry: Entry) -> None:
        """A taken job runs again at its `due_ms`; until then its group waits for it.

        It is stored anew by then.
        """
        entry.state = State.WAITING
        self._let_go(entry)
        part = self._part(entry)
        part.active -= 1
        part.loaded += 1
        self.groups.hold(entry)

    def skip(self, entry: Entry) -> None:
        """A taken job runs later, and takes no memory until `rewind` goes back to it."""
        self._forget_waiting(entry)
        self._part(entry).active -= 1
        self.groups.release(entry)

    def rewind(self, key: str, *, delayed: bool) -> None:
        """Fetch a skipped job again, before all that waits behind it."""
        part = self.delayed if delayed else self.jobs
        if part.covers(key):
            self._cut(key[:-1], delayed=delayed)

    def withdraw(self, key: str, *, delayed: bool) -> None:
        """A job that waits is cancelled, dead, or about to be stored at another place."""
        entry = self._known.get(key)
        if entry is None:
            entry = self._known[key] = Entry(key, delayed=delayed)
        else:
            self._part(entry).loaded -= 1
            self._withdrawn += entry.delayed
        entry.state = State.GONE
        self._let_go(entry)
        self._part(entry).stored -= 1
        if self._withdrawn > max(64, len(self._due) // 2):
            self._due[:] = [entry for entry in self._due if entry.state is State.WAITING]
            heapq.heapify(self._due)
            self._withdrawn = 0

    def forget(self, key: str) -> None:
        """The store does not have a job any more that has ended."""
        entry = self._known.pop(key, None)
        if entry is not None:
            self.groups.drop(entry)

    def known(self, key: str) -> Entry | None:
        """The job in memory, also when it has just ended."""
        return self._known.get(key)

    @property
    def active(self) -> int:
        """Jobs that were taken and have not ended."""
        return self.jobs.active + self.delayed.active

    @property
    def depth(self) -> int:
        """Jobs that wait, run or are delayed."""
        return self.jobs.stored + self.delayed.stored

    @property
    def in_memory(self) -> int:
        return len(self._known)

    # -- memory ----------------------------------------------------------------------------------

    def _part(self, entry: Entry) -> Part:
        return self.delayed if entry.delayed else self.jobs

    def _load(self, part: Part, entry: Entry) -> None:
        part.loaded += 1
        if entry.key > part.last:
            part.last = entry.key
        if entry.record is not None:
            size, room = len(entry.record), self._room
            if part.loaded > room.window or size > room.left:
                entry.record = None  # it is read again: memory has room for the first ones only
            else:
                room.left -= size
        self._known[entry.key] = entry
        if entry.delayed:
            heapq.heappush(self._due, entry)
        else:
            self.groups.add(entry)

    def _let_go(self, entry: Entry) -> None:
        """Of the record: there is room for others."""
        if entry.record is not None:
            self._room.left += len(entry.record)
            entry.record = None

    def _promote(self, now_ms: int) -> None:
        """Delayed jobs that are due may run."""
        due = self._due
        while due or (self.delayed.loaded < self._room.window and self._refill(delayed=True)):
            if due[0].due_ms > now_ms:
                return
            entry = heapq.heappop(due)
            if entry.state is State.WAITING:
                self.groups.add(entry)
            else:
                self._withdrawn = max(0, self._withdrawn - 1)

    def _look_ahead(self) -> bool:
        """None of those in memory may run: fetch more; whether there are."""
        due = not self._due and self._refill(delayed=True)
        return self._refill(delayed=False) or due

    def _refill(self, *, delayed: bool) -> bool:
        """Fetch the next jobs of an order; whether there were any."""
        part = self.delayed if delayed else self.jobs
        while part.horizon is not None and part.loaded < self._room.ahead:
            found, more = self._fetch(delayed, part.horizon, self._room.window)
            part.horizon = found[-1].key if found and more else None
            fresh = [entry for entry in found if entry.key not in self._known]
            for entry in fresh:
                self._load(part, entry)
            if fresh:
                return True
        return False

    def _trim(self, delayed: bool) -> None:
        """Too many came in front of others: forget those that are last."""
        loaded = self._due if delayed else self.groups.waiting()
        waiting = [each for each in loaded if each.delayed is delayed]
        keys = sorted(each.key for each in waiting if each.state is State.WAITING)
        if len(keys) > self._room.ahead:
            self._cut(keys[self._room.ahead - 1], delayed=delayed)

    def _cut(self, horizon: str, *, delayed: bool) -> None:
        """Forget those of an order that wait behind a key: they are fetched again."""
        part = self.delayed if delayed else self.jobs

        def stays(entry: Entry) -> bool:
            if entry.delayed is not delayed or entry.key <= horizon:
                return True
            self._forget_waiting(entry)
            part.loaded -= 1
            return False

        kept = [entry for entry in list(self.groups.waiting()) if stays(entry)]
        self.groups.keep(sorted(kept, key=lambda entry: entry.place))
        if delayed:
            self._due[:] = [e for e in self._due if e.state is State.WAITING and stays(e)]
            heapq.heapify(self._due)
            self._withdrawn = 0
        part.last = part.horizon = horizon

    def _forget_waiting(self, entry: Entry) -> None:
        """The store has it."""
        del self._known[entry.key]
        self._let_go(entry)
