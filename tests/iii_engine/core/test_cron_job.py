"""The life of a cron job: overlap, missed ticks, clocks that jump (engine-modules 11)."""

from __future__ import annotations

from iii_engine.core.cron_job import MAX_QUEUED, CronJob, Missed, Overlap
from iii_engine.core.cron_schedule import NS, Every

MINUTE = 60 * NS


def job(
    overlap: Overlap = "skip", missed: Missed = "skip", last: int | None = None, now: int = 0
) -> CronJob:
    """Every ten seconds."""
    return CronJob(Every(10 * NS, 0), now, overlap=overlap, missed=missed, last_ns=last)


def test_it_runs_when_it_is_due_and_not_before() -> None:
    ten = job()
    assert ten.due_ns == 10 * NS
    assert ten.look(10 * NS - 1) is None
    assert ten.look(10 * NS) == 10 * NS
    assert ten.due_ns == 20 * NS
    assert ten.begin(10 * NS)
    assert ten.ended() is None
    assert ten.look(20 * NS + 5) == 20 * NS


def test_ticks_during_a_run_are_skipped() -> None:
    ten = job()
    assert ten.begin(10 * NS)
    assert ten.look(20 * NS) is None
    assert ten.look(30 * NS) is None
    assert not ten.begin(30 * NS)  # it was due before the run began
    assert ten.ended() is None
    assert ten.skipped == 3
    assert ten.look(40 * NS) == 40 * NS


def test_ticks_during_a_run_wait_when_they_shall() -> None:
    ten = job(overlap="queue")
    for tick in (10, 20, 30):
        assert ten.look(tick * NS) == tick * NS
        assert ten.begin(tick * NS) == (tick == 10)
    assert list(ten.waiting) == [20 * NS, 30 * NS]
    assert ten.ended() == 20 * NS
    assert ten.running
    assert ten.ended() == 30 * NS
    assert ten.ended() is None
    assert not ten.running


def test_what_waits_can_be_given_up() -> None:
    ten = job(overlap="queue")
    assert ten.begin(10 * NS)
    assert not ten.begin(20 * NS)
    ten.rest()
    assert ten.begin(30 * NS)
    assert ten.ended() is None


def test_what_waits_is_bounded() -> None:
    ten = job(overlap="queue")
    for n in range(1, MAX_QUEUED + 4):
        ten.begin(n * 10 * NS)
    assert ten.skipped == 2
    assert ten.ended() == 40 * NS


def test_a_late_look_runs_one_tick_not_all() -> None:
    ten = job()
    assert ten.look(45 * NS) == 10 * NS
    assert ten.due_ns == 50 * NS
    ten.ended()
    assert ten.look(46 * NS) is None


def test_ticks_of_a_sleeping_machine_are_missed() -> None:
    ten = job()
    assert ten.look(60 * MINUTE + 5 * NS) is None
    assert ten.skipped == 1
    assert ten.look(60 * MINUTE + 10 * NS) == 60 * MINUTE + 10 * NS


def test_or_are_made_up_for_by_one_run() -> None:
    ten = job(missed="run_once")
    assert ten.look(60 * MINUTE + 5 * NS) == 10 * NS
    ten.ended()
    assert ten.look(60 * MINUTE + 6 * NS) is None
    assert ten.due_ns == 60 * MINUTE + 10 * NS


def test_what_was_due_before_it_began_runs_once_when_it_shall() -> None:
    now = 60 * MINUTE + 5 * NS
    assert job(now=now, last=30 * NS).look(now) is None
    late = job(missed="run_once", last=30 * NS, now=now)
    assert late.look(now) == 40 * NS
    late.ended()
    assert late.due_ns == now + 5 * NS


def test_a_last_run_in_the_future_does_not_silence_it() -> None:
    assert job(missed="run_once", last=60 * MINUTE, now=5 * NS).due_ns == 10 * NS


def test_a_clock_that_is_set_back_does_not_silence_it() -> None:
    ten = job(now=60 * MINUTE)
    assert ten.due_ns == 60 * MINUTE + 10 * NS
    assert ten.look(5 * NS) is None
    assert ten.due_ns == 10 * NS


def test_a_clock_that_is_corrected_runs_nothing_twice() -> None:
    ten = job()
    assert ten.look(10 * NS) == 10 * NS
    ten.ended()
    assert ten.look(8 * NS) is None
    assert ten.look(10 * NS) is None
    assert ten.due_ns == 20 * NS
