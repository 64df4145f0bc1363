"""Which of the jobs in memory may run next, when those of one group keep to limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final

from iii_engine.core.queue_entry import Entry, Place, State
from iii_engine.core.queue_limits import Limits, Meter

#: Groups without jobs whose rate is remembered: of more, those are forgotten that are over next.
MOST_FADING: Final = 10_000


class Group:
    """The jobs of one group that wait, in order, and how many run (or hold the others up).

    Most come in their order, and stand in a `row`; only those that come `late` cost a heap.
    """

    __slots__ = ("active", "fading", "late", "meter", "name", "row")

    def __init__(self, name: str, meter: Meter | None) -> None:
        self.name = name
        self.meter = meter
        self.row: deque[Entry] = deque()
        self.late: list[tuple[Place, Entry]] = []
        self.active = 0
        self.fading = False  # only its rate is remembered

    def __lt__(self, other: Group) -> bool:
        """Any order: of those whose first jobs have the same place, one being gone."""
        return self.name < other.name

    def add(self, entry: Entry) -> bool:
        """Whether it is the first now."""
        row, late = self.row, self.late
        if not row or row[-1].place <= entry.place:
            row.append(entry)
            return len(row) == 1 and (not late or entry.place < late[0][0])
        item = (entry.place, entry)
        heappush(late, item)
        return late[0] is item and entry.place < row[0].place

    def first(self) -> Entry | None:
        row, late = self.row, self.late
        if not late or (row and row[0].place <= late[0][0]):
            return row[0] if row else None
        return late[0][1]

    def pop(self) -> None:
        """Take the first away."""
        row, late = self.row, self.late
        if not late or (row and row[0].place <= late[0][0]):
            row.popleft()
        else:
            heappop(late)

    def clear(self) -> None:
        self.row.clear()
        self.late.clear()

    def __iter__(self) -> Iterator[Entry]:
        yield from self.row
        for _, entry in self.late:
            yield entry


class Groups:
    """Waiting jobs by group; each step costs O(log n). Times are milliseconds since the epoch.

    `_ready` has the first job of each group that may run. What is outdated in it (another job is
    first now, or the group is full) is found out when it comes up.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._groups: dict[str, Group] = {}
        self._ready: list[tuple[Place, Group]] = []
        self._resting: list[tuple[int, str]] = []  # groups, until their rate lets them
        self._fading: list[tuple[int, str]] = []  # without jobs, until their rate is over
        self._latest_ms = 0
        self._held: list[tuple[int, str, Entry]] = []  # first of their group, not due yet
        self.held = 0  # of those in the heap; the others were dropped

    def add(self, entry: Entry) -> None:
        """A job that waits."""
        entry.lane = "" if self.limits.single else entry.group
        entry.place = (0 if entry.delayed else 1, entry.key)
        group = self._groups.get(entry.lane) or self._new_group(entry.lane)
        if group.add(entry) and self._has_room(group):
            heappush(self._ready, (entry.place, group))

    def pop(self, now_ms: int) -> Entry | None:
        """Take the next job that may run."""
        ready = self._ready
        while ready:
            place, group = heappop(ready)
            entry = group.first()
            if entry is None or entry.place != place or not self._has_room(group):
                continue
            if entry.state is State.GONE:
                group.pop()
                self._offer(group)
                self._drop_idle(group)
            elif group.meter is not None and group.meter.free_ms() > now_ms:
                heappush(self._resting, (group.meter.free_ms(), group.name))
            else:
                group.pop()
                group.active += 1
                if entry.due_ms <= now_ms or not self.limits.ordered:
                    if group.meter is not None:
                        group.meter.start(now_ms)
                    self._offer(group)
                    return entry
                self.hold(entry)
        return None

    def release(self, entry: Entry) -> None:
        """A job that was popped does not run any more."""
        group = self._groups[entry.lane]
        kept_back = entry.held or not self._has_room(group)  # else its next job is offered already
        group.active -= 1
        if kept_back:
            self._offer(group)
        if not group.active:
            self._drop_idle(group)

    def hold(self, entry: Entry) -> None:
        """A job that was popped runs again when it is due, and before all others of its group."""
        entry.held = True
        self.held += 1
        heappush(self._held, (entry.due_ms, entry.key, entry))

    def drop(self, entry: Entry) -> None:
        """A job does not wait any more: it holds up nobody."""
        if not entry.held:
            return
        self.held -= 1
        self.release(entry)
        entry.held = False
        if len(self._held) > 2 * self.held + 64:
            self._held = [item for item in self._held if item[2].held]
            heapify(self._held)

    def wake(self, now_ms: int) -> None:
        """Let run what waited for this time."""
        if now_ms < self._latest_ms:
            self._set_back(self._latest_ms - now_ms)
        self._latest_ms = now_ms
        while self._held and self._held[0][0] <= now_ms:
            entry = heappop(self._held)[2]
            self.drop(entry)
            if entry.state is not State.GONE:
                self.add(entry)
        while self._resting and self._resting[0][0] <= now_ms:
            group = self._groups.get(heappop(self._resting)[1])
            if group is not None:
                self._offer(group)
                self._drop_idle(group, now_ms)
        while self._fading and self._fading[0][0] <= now_ms:
            self._fade(now_ms)

    def _fade(self, now_ms: int) -> None:
        """Forget the group whose rate is over next, if it has no jobs by now."""
        group = self._groups.get(heappop(self._fading)[1])
        if group is not None:
            group.fading = False
            self._drop_idle(group, now_ms)

    def _set_back(self, by_ms: int) -> None:
        """The clock was: rates count the time that passes, not what it shows."""
        for group in self._groups.values():
            if group.meter is not None:
                group.meter.set_back(by_ms)
        self._resting = [(due_ms - by_ms, name) for due_ms, name in self._resting]
        self._fading = [(due_ms - by_ms, name) for due_ms, name in self._fading]

    def __len__(self) -> int:
        """Groups that have jobs, or whose rate counts."""
        return len(self._groups)

    def next_due_ms(self) -> int | None:
        """When `wake` has something to do."""
        due = [heap[0][0] for heap in (self._held, self._resting) if heap]
        return min(due, default=None)

    def waiting(self) -> Iterator[Entry]:
        """Those that were added and not popped."""
        for group in self._groups.values():
            for entry in group:
                if entry.state is State.WAITING:
                    yield entry

    def keep(self, entries: list[Entry]) -> None:
        """Forget all that wait but these."""
        for group in self._groups.values():
            group.clear()
        self._ready.clear()
        for entry in entries:
            self.add(entry)
        for group in list(self._groups.values()):
            self._drop_idle(group)

    def change(self, limits: Limits, running: Iterable[Entry]) -> None:
        """Other limits from now on, also for those that run or are held."""
        waiting = list(self.waiting())
        same_rate, self.limits = limits.rate == self.limits.rate, limits
        for group in self._groups.values():
            group.active = 0
            if not same_rate:
                group.meter = None if limits.rate is None else Meter(limits.rate)
        for entry in running:
            entry.lane = self._lane(entry)
            group = self._groups.get(entry.lane) or self._new_group(entry.lane)
            group.active += 1
        self.keep(waiting)

    def _lane(self, entry: Entry) -> str:
        return "" if self.limits.single else entry.group

    def _new_group(self, name: str) -> Group:
        rate = self.limits.rate
        group = self._groups[name] = Group(name, None if rate is None else Meter(rate))
        return group

    def _has_room(self, group: Group) -> bool:
        limit = self.limits.concurrency
        return limit == 0 or group.active < limit

    def _offer(self, group: Group) -> None:
        entry = group.first()
        if entry is not None and self._has_room(group):
            heappush(self._ready, (entry.place, group))

    def _drop_idle(self, group: Group, now_ms: int = 0) -> None:
        """Forget a group without jobs, as soon as its rate has nothing to remember either."""
        if group.active or group.row or group.late:
            return
        if group.meter is None or (idle_ms := group.meter.idle_ms()) <= now_ms:
            del self._groups[group.name]
        elif not group.fading:
            group.fading = True
            heappush(self._fading, (idle_ms, group.name))
            if len(self._fading) > MOST_FADING:
                self._fade(self._fading[0][0])
