from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from iii_engine.core.queue_entry import Entry, State
from iii_engine.core.queue_limits import Limits
from iii_engine.core.queue_line import Line
from iii_engine.core.queue_room import Room


class Shelf:
    """What is stored: keys in order, of jobs and of delayed ones."""

    def __init__(self) -> None:
        self.keys: dict[bool, list[str]] = {False: [], True: []}
        self.group: Callable[[str], str] = lambda key: ""

    def add(self, key: str, *, delayed: bool = False) -> Entry:
        self.keys[delayed].append(key)
        self.keys[delayed].sort()
        return entry(key, delayed, self.group(key))

    def remove(self, gone: Entry) -> None:
        self.keys[gone.delayed].remove(gone.key)

    def fetch(self, delayed: bool, after: str, limit: int) -> tuple[list[Entry], bool]:
        keys = self.keys[delayed]
        start = bisect_right(keys, after)
        found = keys[start : start + limit]
        return [entry(key, delayed, self.group(key)) for key in found], len(found) == limit


def entry(key: str, delayed: bool, group: str = "") -> Entry:
    return Entry(
        key, group=group, delayed=delayed, due_ms=int(key[:3]) if delayed else 0, record=b"{}"
    )


def keys(found: Iterable[Entry]) -> list[str]:
    return [each.key for each in found]


class Sizes(Room):
    """Sizes that a test can look through."""

    def __init__(self, window: int, ahead: int) -> None:
        super().__init__(1000, 1000)
        self.window, self.ahead = window, ahead


def line(window: int = 4, ahead: int = 12, limits: Limits | None = None) -> tuple[Line, Shelf]:
    shelf = Shelf()
    return Line(shelf.fetch, limits or Limits(), Sizes(window, ahead)), shelf


def test_a_long_line_is_fetched_piece_by_piece() -> None:
    queue, shelf = line()
    for number in range(100):
        queue.admit(shelf.add(f"{number:03}"))
    assert queue.depth == 100
    assert queue.in_memory == 4
    seen = []
    while taken := queue.take(3, 0):
        seen += keys(taken)
        for each in taken:
            queue.end(each)
            shelf.remove(each)
            queue.forget(each.key)
        assert queue.in_memory <= 8
    assert seen == [f"{number:03}" for number in range(100)]
    assert queue.depth == 0


def test_what_was_stored_by_an_earlier_engine_is_found() -> None:
    queue, shelf = line()
    for number in range(10):
        shelf.add(f"{number:03}")
        shelf.add(f"{number:03}d", delayed=True)
    queue.restore(10, 10)
    assert keys(queue.take(100, -1)) == [f"{number:03}" for number in range(10)]
    assert queue.next_due_ms() == 0
    assert keys(queue.take(100, 5)) == [f"{number:03}d" for number in range(6)]
    assert queue.next_due_ms() == 6
    empty, _ = line()
    empty.restore(0, 0)
    assert (empty.take(1, 0), empty.next_due_ms()) == ([], None)


def test_one_that_belongs_before_the_horizon_is_taken_in_its_turn() -> None:
    queue, shelf = line()
    for number in range(10, 20):
        queue.admit(shelf.add(f"{number:03}"))
    queue.admit(shelf.add("005"))
    queue.admit(shelf.add("0155"))  # behind what is in memory: it is fetched later
    assert keys(queue.take(3, 0)) == ["005", "010", "011"]
    assert "0155" in keys(queue.take(100, 0))


def test_too_many_in_front_push_the_last_ones_out_of_memory() -> None:
    queue, shelf = line(window=2, ahead=4)
    for number in reversed(range(30)):
        queue.admit(shelf.add(f"{number:03}"))
        queue.admit(shelf.add(f"{number:03}d", delayed=True))
        assert queue.in_memory <= 18
    assert keys(queue.take(30, -1)) == [f"{number:03}" for number in range(30)]
    assert keys(queue.take(30, 100)) == [f"{number:03}d" for number in range(30)]


def test_due_ones_in_memory_are_kept_when_others_are_pushed_out() -> None:
    queue, shelf = line(window=2, ahead=3, limits=Limits(concurrency=1))
    queue.admit(shelf.add("900"))
    queue.take(1, 0)
    for number in range(8):
        queue.admit(shelf.add(f"{number:03}", delayed=True))
    queue.take(1, 100)  # nothing may run, and all are due
    for number in reversed(range(800, 820)):
        queue.admit(shelf.add(f"{number:03}"))
    for number in reversed(range(200, 220)):
        queue.admit(shelf.add(f"{number:03}", delayed=True))
    assert queue.in_memory <= 20


def test_a_stored_job_is_not_counted_or_taken_twice() -> None:
    queue, shelf = line(window=2)
    for number in range(6):
        queue.admit(shelf.add(f"{number:03}"))
    late = shelf.add("006")  # stored, and found before it is admitted
    found = queue.take(10, 0)
    assert keys(found) == [f"{number:03}" for number in range(7)]
    queue.admit(late)
    assert (queue.depth, queue.active, queue.take(10, 0)) == (7, 7, [])
    queue.end(found[0])
    assert queue.known("000") is found[0]
    assert queue.take(10, 0) == []
    queue.forget("000")
    assert queue.known("000") is None


def test_a_withdrawn_job_does_not_run_wherever_it_is() -> None:
    queue, shelf = line(window=2)
    for number in range(6):
        queue.admit(shelf.add(f"{number:03}"))
    queue.admit(shelf.add("050", delayed=True))
    queue.withdraw("000", delayed=False)
    queue.withdraw("005", delayed=False)  # not in memory
    queue.withdraw("050", delayed=True)
    assert keys(queue.take(10, 100)) == ["001", "002", "003", "004"]
    assert queue.depth == 4


def test_a_held_job_runs_again_when_it_is_due() -> None:
    queue, shelf = line(limits=Limits(concurrency=1, ordered=True))
    for number in range(2):
        queue.admit(shelf.add(f"{number:03}"))
    (first,) = queue.take(5, 0)
    first.due_ms = 100
    queue.hold(first)
    assert (queue.active, queue.take(5, 99), queue.next_due_ms()) == (0, [], 100)
    assert queue.take(5, 100) == [first]


def test_the_sooner_of_two_times_counts() -> None:
    queue, shelf = line(limits=Limits(concurrency=1, ordered=True))
    queue.admit(shelf.add("001"))
    (first,) = queue.take(5, 0)
    first.due_ms = 100
    queue.hold(first)
    queue.admit(shelf.add("200", delayed=True))
    assert queue.next_due_ms() == 100
    queue.admit(shelf.add("050", delayed=True))
    assert queue.next_due_ms() == 50


def test_only_the_first_ones_keep_their_records() -> None:
    queue, shelf = line(window=2, limits=Limits(concurrency=1))
    for number in reversed(range(4)):
        queue.admit(shelf.add(f"{number:03}"))
    (first,) = queue.take(1, 0)
    assert first.record is None
    queue.admit(shelf.add("9"))
    assert sum(each.record is not None for each in queue.groups.waiting()) == 2


def test_a_busy_group_is_passed_over_by_looking_ahead() -> None:
    queue, shelf = line(window=2, ahead=6, limits=Limits(concurrency=1))
    shelf.group = lambda key: str(int(key[:3]) // 5)
    for number in range(10):
        queue.admit(shelf.add(f"{number:03}"))
        queue.admit(shelf.add(f"{number:03}d", delayed=True))
    assert keys(queue.take(9, -1)) == ["000", "005"]
    assert keys(queue.take(9, 100)) == []
    assert queue.in_memory <= 2 + 2 * (6 + 2)


def test_held_jobs_stay_in_memory_when_others_are_pushed_out() -> None:
    queue, shelf = line(window=1, ahead=1, limits=Limits(concurrency=1, ordered=True))
    shelf.group = str
    for number in range(900, 904):
        queue.admit(shelf.add(f"{number:03}"))
    held = queue.take(4, 0)
    for each in held:
        each.due_ms = 100
        queue.hold(each)
    queue.admit(shelf.add("500"))
    assert keys(queue.take(9, 100)) == ["500", *keys(held)]


def test_who_takes_nothing_needs_nothing_in_memory() -> None:
    queue, shelf = line(limits=Limits(concurrency=1, ordered=True))
    queue.restore(0, 0)
    for number in range(1, 4):
        queue.admit(shelf.add(f"{number:03}"))
        queue.admit(shelf.add(f"90{number}d", delayed=True))
    assert (queue.in_memory, queue.depth) == (0, 6)
    (held,) = queue.take(1, 0)
    queue.withdraw("002", delayed=False)
    held.due_ms = 100
    queue.hold(held)
    queue.unload()
    queue.unload()
    assert queue.in_memory == 2  # the one that is held, and the one that may still be stored
    assert keys(queue.take(1, 99)) == []
    assert keys(queue.take(1, 100)) == ["001"]
    queue.end(held)
    assert keys(queue.take(1, 100)) == ["003"]


def test_records_that_find_no_room_are_read_again() -> None:
    shelf, room = Shelf(), Sizes(100, 1000)
    room.left = 5
    queue = Line(shelf.fetch, Limits(), room)
    for number in range(4):
        queue.admit(shelf.add(f"{number:03}"))
    taken = queue.take(4, 0)
    assert [each.record for each in taken] == [b"{}", b"{}", None, None]
    assert room.left == 1
    queue.hold(taken[0])
    assert room.left == 3
    queue.end(taken[1])
    assert room.left == 5


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: each stored job is taken once, the first one first."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Sizes(window=2, ahead=4)
        self.shelf = Shelf()
        self.line = Line(self.shelf.fetch, Limits(), self.room)
        self.running: list[Entry] = []
        self.gone: list[Entry] = []
        self.waiting: set[tuple[bool, str]] = set()
        self.skipped: set[tuple[bool, str]] = set()
        self.now = 0

    @rule(number=st.integers(0, 999), delayed=st.booleans())
    def admit(self, number: int, delayed: bool) -> None:
        key = f"{number:03}"
        if key not in self.shelf.keys[delayed] and self.line.known(key) is None:
            other = self.shelf.keys[not delayed]
            if key not in other:
                self.line.admit(self.shelf.add(key, delayed=delayed))
                self.waiting.add((delayed, key))

    @rule(limit=st.integers(1, 5))
    def take(self, limit: int) -> None:
        may = sorted(
            (not delayed, key)
            for delayed, key in self.waiting
            if not delayed or int(key) <= self.now
        )
        taken: list[Entry] = []
        while len(taken) < limit and (found := self.line.take(limit - len(taken), self.now)):
            for each in found:
                if (each.delayed, each.key) in self.skipped:
                    self.line.skip(each)  # it came up again, and still cannot run
                else:
                    taken.append(each)
        assert [(not each.delayed, each.key) for each in taken] == may[:limit]
        self.waiting -= {(each.delayed, each.key) for each in taken}
        self.running += taken

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        each = data.draw(st.sampled_from(self.running))
        self.running.remove(each)
        self.line.end(each)
        self.gone.append(each)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def skip(self, data: st.DataObject) -> None:
        each = data.draw(st.sampled_from(self.running))
        self.running.remove(each)
        self.line.skip(each)
        self.skipped.add((each.delayed, each.key))

    @precondition(lambda self: self.skipped)
    @rule()
    def rewind(self) -> None:
        self.waiting |= self.skipped
        for delayed in (False, True):
            if found := [key for each, key in self.skipped if each is delayed]:
                self.line.rewind(min(found), delayed=delayed)
        self.skipped.clear()

    @precondition(lambda self: self.gone)
    @rule()
    def delete(self) -> None:
        each = self.gone.pop(0)
        self.shelf.remove(each)
        self.line.forget(each.key)

    @precondition(lambda self: self.waiting | self.skipped)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        delayed, key = data.draw(st.sampled_from(sorted(self.waiting | self.skipped)))
        self.line.withdraw(key, delayed=delayed)
        self.line.forget(key)
        self.shelf.remove(entry(key, delayed))
        self.waiting.discard((delayed, key))
        self.skipped.discard((delayed, key))

    @rule()
    def unload(self) -> None:
        self.line.unload()
        assert self.line.in_memory <= len(self.running) + len(self.gone)

    @rule(step=st.integers(1, 300))
    def time_passes(self, step: int) -> None:
        self.now += step

    @invariant()
    def counts_agree(self) -> None:
        assert self.line.depth == len(self.waiting) + len(self.skipped) + len(self.running)
        assert self.line.active == len(self.running)
        due = [int(key) for delayed, key in self.waiting if delayed]
        found = self.line.next_due_ms()
        if due and min(due) > self.now:
            assert found is not None
            assert found <= min(due)

    @invariant()
    def room_is_what_records_leave(self) -> None:
        known = [self.line.known(key) for part in self.shelf.keys.values() for key in part]
        held = {id(each): each.record for each in [*known, *self.running] if each is not None}
        assert self.room.left == 1000 - sum(len(record or b"") for record in held.values())

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.line.in_memory <= 24 + len(self.running) + len(self.gone)
        assert all(each.state is State.ACTIVE for each in self.running)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
