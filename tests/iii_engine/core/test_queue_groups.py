from __future__ import annotations

from iii_engine.core.queue_entry import Entry, State
from iii_engine.core.queue_groups import MOST_FADING, Groups
from iii_engine.core.queue_limits import Limits, Rate


def entries(groups: Groups, *names: str) -> list[Entry]:
    """One waiting entry for each: `a1` is of group `a`."""
    made = [Entry(name[1:].zfill(3), group=name[0]) for name in names]
    for entry in made:
        groups.add(entry)
    return made


def taken(groups: Groups, now_ms: int = 0) -> list[str]:
    found = []
    while (entry := groups.pop(now_ms)) is not None:
        entry.state = State.ACTIVE
        found.append(entry.group + entry.key.lstrip("0"))
    return found


def test_without_limits_all_run_in_order() -> None:
    groups = Groups(Limits())
    entries(groups, "a3", "b1", "a2")
    assert taken(groups) == ["b1", "a2", "a3"]
    assert groups.next_due_ms() is None


def test_a_group_runs_so_many_at_a_time() -> None:
    groups = Groups(Limits(concurrency=2))
    made = entries(groups, "a1", "a2", "a3", "b4", "a5")
    assert taken(groups) == ["a1", "a2", "b4"]
    groups.release(made[0])
    assert taken(groups) == ["a3"]
    for entry in made[1:4]:
        groups.release(entry)
    assert taken(groups) == ["a5"]
    groups.release(made[4])
    entries(groups, "a6")
    assert taken(groups) == ["a6"]


def test_an_earlier_one_that_comes_later_goes_first() -> None:
    groups = Groups(Limits(concurrency=1))
    entries(groups, "a5")
    entries(groups, "a3", "b4")
    assert taken(groups) == ["a3", "b4"]


def test_those_that_are_gone_are_passed_over() -> None:
    groups = Groups(Limits(concurrency=1))
    made = entries(groups, "a1", "a2")
    made[0].state = State.GONE
    assert list(groups.waiting()) == [made[1]]
    assert taken(groups) == ["a2"]


def test_groups_of_jobs_that_are_gone_are_forgotten() -> None:
    groups = Groups(Limits(concurrency=1))
    for entry in entries(groups, "a1", "b2", "c3"):
        entry.state = State.GONE
    assert taken(groups) == []
    assert len(groups) == 0


def test_those_that_come_late_stand_among_those_in_their_order() -> None:
    groups = Groups(Limits())
    entries(groups, "a2", "a5", "a4", "a3", "a7", "a1", "a6")
    assert taken(groups) == ["a1", "a2", "a3", "a4", "a5", "a6", "a7"]


def test_first_jobs_of_groups_may_have_the_same_place() -> None:
    groups = Groups(Limits())
    entries(groups, "a1", "b1", "a2", "b2")
    assert taken(groups) == ["a1", "b1", "a2", "b2"]


def test_a_group_goes_on_when_the_one_that_holds_it_up_is_dropped() -> None:
    groups = Groups(Limits(concurrency=1, ordered=True))
    first, second = entries(groups, "a1", "a2")
    first.due_ms = 1000
    assert taken(groups) == []
    first.state = State.GONE
    groups.drop(first)
    groups.drop(first)
    assert taken(groups) == ["a2"]
    groups.wake(1000)
    entries(groups, "a3")
    assert taken(groups, 1000) == []
    groups.release(second)
    assert taken(groups, 1000) == ["a3"]


def test_those_that_are_dropped_are_forgotten() -> None:
    groups = Groups(Limits(concurrency=1, ordered=True))
    for number in range(1000):
        entry = Entry(f"{number:03}", group="a", due_ms=1_000_000)
        groups.add(entry)
        assert taken(groups) == []
        assert groups.held == 1
        groups.drop(entry)
    assert len(groups._held) <= 64


def test_delayed_ones_go_to_the_front() -> None:
    groups = Groups(Limits())
    made = entries(groups, "a1")
    late = Entry("999:x", delayed=True)
    groups.add(late)
    assert [groups.pop(0), groups.pop(0)] == [late, made[0]]


def test_a_held_job_is_first_of_its_group_again() -> None:
    groups = Groups(Limits(concurrency=1, ordered=True))
    made = entries(groups, "a1", "a2", "b3")
    assert taken(groups) == ["a1", "b3"]
    made[0].state, made[0].due_ms = State.WAITING, 500
    groups.hold(made[0])
    assert (taken(groups, 499), groups.next_due_ms()) == ([], 500)
    groups.wake(499)
    assert taken(groups, 499) == []
    groups.wake(500)
    assert taken(groups, 500) == ["a1"]
    groups.release(made[0])
    assert taken(groups, 500) == ["a2"]


def test_a_job_that_is_not_due_holds_up_its_group_when_order_counts() -> None:
    groups = Groups(Limits(concurrency=1, ordered=True))
    first = Entry("001", group="a", due_ms=100)
    groups.add(first)
    entries(groups, "a2", "b3")
    assert taken(groups, 50) == ["b3"]
    groups.wake(100)
    assert taken(groups, 100) == ["a1"]
    other = Groups(Limits())
    other.add(Entry("001", due_ms=100))
    assert taken(other, 50) == ["1"]


def test_a_held_job_that_is_gone_frees_its_group() -> None:
    groups = Groups(Limits(concurrency=1, ordered=True))
    made = entries(groups, "a1", "a2")
    taken(groups)
    made[0].due_ms = 10
    groups.hold(made[0])
    made[0].state = State.GONE
    groups.wake(10)
    assert taken(groups, 10) == ["a2"]


def test_a_group_with_room_goes_on_when_one_that_was_not_due_is_gone() -> None:
    groups = Groups(Limits(concurrency=2, ordered=True))
    first = Entry("001", group="a", due_ms=100)
    groups.add(first)
    entries(groups, "a2", "a3")
    assert taken(groups, 50) == []
    first.state = State.GONE
    groups.drop(first)
    assert taken(groups, 50) == ["a2", "a3"]


def test_a_rate_lets_a_group_rest() -> None:
    groups = Groups(Limits(rate=Rate(1, 1000)))
    made = entries(groups, "a1", "a2", "b3")
    assert taken(groups, 0) == ["a1", "b3"]
    assert groups.next_due_ms() == 1000
    for entry in (made[0], made[2]):
        groups.release(entry)
    groups.wake(1000)
    assert taken(groups, 1000) == ["a2"]
    groups.release(made[1])
    entries(groups, "b4")
    assert taken(groups, 1000) == ["b4"]
    groups.wake(10_000)
    assert groups.next_due_ms() is None


def test_a_group_that_rests_may_be_forgotten_meanwhile() -> None:
    groups = Groups(Limits(rate=Rate(1, 1000)))
    entries(groups, "a1", "a2")
    (first,) = [each for each in groups.waiting() if each.key == "001"]
    assert taken(groups, 0) == ["a1"]
    groups.change(Limits(), [first])
    assert taken(groups, 0) == ["a2"]
    groups.release(first)
    groups.release(first)
    groups.wake(1000)
    assert groups.next_due_ms() is None


def test_limits_change_for_those_that_wait() -> None:
    groups = Groups(Limits(concurrency=1))
    made = entries(groups, "a1", "a2", "a3", "b4")
    assert taken(groups) == ["a1", "b4"]
    groups.change(Limits(concurrency=1, single=True), [made[0], made[3]])
    assert taken(groups) == []  # one of all, and two run
    groups.release(made[0])
    assert taken(groups) == []
    groups.release(made[3])
    assert taken(groups) == ["a2"]
    groups.change(Limits(concurrency=1), [made[1]])
    entries(groups, "b5")
    assert taken(groups) == ["b5"]  # a2 runs
    groups.release(made[1])
    assert taken(groups) == ["a3"]


def test_a_rate_is_remembered_when_other_limits_change() -> None:
    rate = Rate(1, 1000)
    groups = Groups(Limits(rate=rate))
    made = entries(groups, "a1", "a2")
    assert taken(groups, 0) == ["a1"]
    groups.change(Limits(concurrency=2, rate=rate), [made[0]])
    assert taken(groups, 0) == []
    groups.change(Limits(rate=Rate(2, 1000)), [made[0]])
    assert taken(groups, 0) == ["a2"]


def test_rates_of_so_many_groups_are_remembered() -> None:
    groups = Groups(Limits(rate=Rate(1, 1000)))
    for number in range(MOST_FADING + 10):
        entry = Entry(str(number), group=str(number))
        groups.add(entry)
        assert groups.pop(0) is entry
        groups.release(entry)
    assert len(groups) == MOST_FADING
    groups.wake(1000)
    assert len(groups) == 0


def test_only_some_are_kept() -> None:
    groups = Groups(Limits(concurrency=1))
    made = entries(groups, "a1", "b2", "b3")
    groups.keep([made[2]])
    assert list(groups.waiting()) == [made[2]]
    assert taken(groups) == ["b3"]
