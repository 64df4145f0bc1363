"""Which of the jobs in memory may run next, when those of one group keep to limits."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from iii_engine.core.queue_entry import Entry, State
from iii_engine.core.queue_limits import Limits, Meter


class Group:
    """The jobs of one group that wait, in order, and how many run (or hold the others up)."""

    __slots__ = ("active", "heap", "meter", "name")

    def __init__(self, name: str, meter: Meter | None) -> None:
        self.name = name
        self.meter = meter
        self.heap: list[tuple[tuple[int, str], Entry]] = []
        self.active = 0


class Groups:
    """Waiting jobs by group; each step costs O(log n). Times are milliseconds since the epoch.

    `_ready` has the first job of each group that may run. What is outdated in it (another job is
    first now, or the group is full) is found out when it comes up.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._groups: dict[str, Group] = {}
        self._ready: list[tuple[tuple[int, str], Group]] = []
        self._resting: list[tuple[int, str]] = []  # groups, until their rate lets them
        self._latest_ms = 0
        self._held: list[tuple[int, str, Entry]] = []  # first of their group, not due yet
        self.held = 0  # of those in the heap; the others were dropped

    def add(self, entry: Entry) -> None:
        """A job that waits."""
        entry.lane = "" if self.limits.single else entry.group
        group = self._group(entry.lane)
        item = (entry.place, entry)
        heapq.heappush(group.heap, item)
        if group.heap[0] is item:
            self._offer(group)

    def pop(self, now_ms: int) -> Entry | None:
        """Take the next job that may run."""
        while self._ready:
            place, group = heapq.heappop(self._ready)
            heap = group.heap
            if not heap or heap[0][0] != place or not self._has_room(group):
                continue
            entry = heap[0][1]
            if entry.state is State.GONE:
                heapq.heappop(heap)
                self._offer(group)
            elif group.meter is not None and group.meter.free_ms() > now_ms:
                heapq.heappush(self._resting, (group.meter.free_ms(), group.name))
            else:
                heapq.heappop(heap)
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
        group.active -= 1
        self._offer(group)
        self._drop_idle(group)

    def hold(self, entry: Entry) -> None:
        """A job that was popped runs again when it is due, and before all others of its group."""
        entry.held = True
        self.held += 1
        heapq.heappush(self._held, (entry.due_ms, entry.key, entry))

    def drop(self, entry: Entry) -> None:
        """A job does not wait any more: it holds up nobody."""
        if not entry.held:
            return
        entry.held = False
        self.held -= 1
        self.release(entry)
        if len(self._held) > 2 * self.held + 64:
            self._held = [item for item in self._held if item[2].held]
            heapq.heapify(self._held)

    def wake(self, now_ms: int) -> None:
        """Let run what waited for this time."""
        if now_ms < self._latest_ms:
            self._set_back(self._latest_ms - now_ms)
        self._latest_ms = now_ms
        while self._held and self._held[0][0] <= now_ms:
            entry = heapq.heappop(self._held)[2]
            self.drop(entry)
            if entry.state is not State.GONE:
                self.add(entry)
        while self._resting and self._resting[0][0] <= now_ms:
            group = self._groups.get(heapq.heappop(self._resting)[1])
            if group is not None:
                self._offer(group)
                self._drop_idle(group, now_ms)

    def _set_back(self, by_ms: int) -> None:
        """The clock was: rates count the time that passes, not what it shows."""
        for group in self._groups.values():
            if group.meter is not None:
                group.meter.set_back(by_ms)
        self._resting = [(due_ms - by_ms, name) for due_ms, name in self._resting]

    def next_due_ms(self) -> int | None:
        """When `wake` has something to do."""
        due = [heap[0][0] for heap in (self._held, self._resting) if heap]
        return min(due, default=None)

    def waiting(self) -> Iterator[Entry]:
        """Those that were added and not popped."""
        for group in self._groups.values():
            for _, entry in group.heap:
                if entry.state is State.WAITING:
                    yield entry

    def keep(self, entries: list[Entry]) -> None:
        """Forget all that wait but these."""
        for group in self._groups.values():
            group.heap.clear()
        self._ready.clear()
        for entry in entries:
            self.add(entry)
        for group in list(self._groups.values()):
            self._drop_idle(group)

    def change(self, limits: Limits) -> None:
        """Other limits from now on."""
        waiting = list(self.waiting())
        self.limits = limits
        for group in self._groups.values():
            group.meter = None if limits.rate is None else Meter(limits.rate)
        self.keep(waiting)

    def _group(self, name: str) -> Group:
        group = self._groups.get(name)
        if group is None:
            rate = self.limits.rate
            group = self._groups[name] = Group(name, None if rate is None else Meter(rate))
        return group

    def _has_room(self, group: Group) -> bool:
        limit = self.limits.concurrency
        return limit == 0 or group.active < limit

    def _offer(self, group: Group) -> None:
        if group.heap and self._has_room(group):
            heapq.heappush(self._ready, (group.heap[0][0], group))

    def _drop_idle(self, group: Group, now_ms: int = 0) -> None:
        """Forget a group without jobs, as soon as its rate has nothing to remember either."""
        if group.heap or group.active:
            return
        if group.meter is None or (idle_ms := group.meter.idle_ms()) <= now_ms:
            del self._groups[group.name]
        else:
            heapq.heappush(self._resting, (idle_ms, group.name))
