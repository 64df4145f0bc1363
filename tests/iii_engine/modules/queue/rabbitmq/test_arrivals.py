"""Jobs that RabbitMQ has given to an engine: which may run, and what its loss does to them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import Raw

from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.job import Job
from iii_engine.modules.queue.rabbitmq.arrivals import Arrival, Arrivals

ORDERED = Limits(1, None, ordered=True)
SINGLE = Limits(1, None, ordered=True, single=True)


def message(*, redelivered: bool = False) -> Any:
    return SimpleNamespace(redelivered=redelivered)


def arrivals(*jobs: str, limits: Limits | None = None) -> Arrivals:
    """Jobs that wait; the first letter of an id is its group."""
    found = Arrivals()
    found.limits = limits or Limits()
    for job_id in jobs:
        job = Job(id=job_id, created_at=1, data=Raw(b"1"), group_id=job_id[0])
        found.arrived(Arrival(job, message()))
    return found


def ids(found: Any) -> list[str]:
    return [arrival.job.id for arrival in found]


def test_those_that_came_first_run_first() -> None:
    here = arrivals("a1", "a2", "b1")
    assert not here.running
    assert ids(here.take(2)) == ["a1", "a2"]
    assert here.running
    assert ids(here.take(2)) == ["b1"]
    assert here.take(2) == []


def test_one_job_of_a_group_is_out() -> None:
    here = arrivals("a1", "a2", "b1", "b2", limits=ORDERED)
    a1, b1 = here.take(9)
    assert ids([a1, b1]) == ["a1", "b1"]
    assert here.take(9) == []
    here.ended(a1)
    assert ids(here.take(9)) == ["a2"]


def test_a_limit_leaves_the_rest_in_order() -> None:
    here = arrivals("a1", "b1", "a2", "c1", limits=ORDERED)
    assert ids(here.take(1)) == ["a1"]
    assert ids(here.waiting) == ["b1", "a2", "c1"]


def test_in_a_single_line_all_are_one_group() -> None:
    here = arrivals("a1", "b1", limits=SINGLE)
    (a1,) = here.take(9)
    assert here.take(9) == []
    here.ended(a1)
    assert ids(here.take(9)) == ["b1"]


def test_a_group_waits_for_its_job_that_failed() -> None:
    here = arrivals("a1", "a2", limits=ORDERED)
    (a1,) = here.take(9)
    a1.running = False  # its pause has begun
    assert not here.running
    assert here.take(9) == []
    here.again(a1)
    assert ids(here.take(9)) == ["a1"]


def test_what_a_lost_server_takes_back_is_the_same_job_when_it_comes_again() -> None:
    here = arrivals("a1", "b1")
    (a1,) = here.take(1)
    here.lost()
    assert (a1.message, ids(here.waiting)) == (None, [])
    assert not here.running
    again = message(redelivered=True)
    assert not here.returned(Job(id="b1", created_at=1, data=Raw(b"1")), again)
    assert not here.returned(a1.job, message())  # another message: published twice
    assert here.returned(a1.job, again)
    assert a1.message is again
    assert not here.returned(a1.job, message(redelivered=True))  # it is here already
    assert here.take(9) == []


def test_a_job_whose_pause_ends_while_it_is_away_runs_when_it_is_back() -> None:
    here = arrivals("a1", limits=ORDERED)
    (a1,) = here.take(1)
    here.lost()
    here.again(a1)
    assert a1.due
    assert here.take(9) == []
    assert here.returned(a1.job, message(redelivered=True))
    assert not a1.due
    assert ids(here.take(9)) == ["a1"]


def test_what_waits_can_be_given_back() -> None:
    here = arrivals("a1", "b1", "c1")
    here.take(1)
    waiting = [arrival.message for arrival in here.waiting]
    assert here.give_back() == waiting
    assert here.take(9) == []
    assert here.running


def test_what_was_left_to_other_engines_is_known_when_it_comes_back() -> None:
    here = arrivals("a1", "b1", "c1", limits=ORDERED)
    a1, _ = here.take(2)
    a1.job.attempts_made, a1.job.handed_back, a1.job.error = 2, 5, "no"
    a1.running = False
    here.leave()
    assert ids(here.out) == ["b1"]
    assert not here.waiting
    here.again(a1)  # its pause is over: it is elsewhere
    assert not here.waiting
    anew = Job(id="a1", created_at=1, data=Raw(b"1"), group_id="a")
    here.recall(anew, message())
    assert anew.attempts_made == 0
    here.recall(anew, message(redelivered=True))
    assert (anew.attempts_made, anew.handed_back, anew.error) == (2, 5, "no")


def test_not_more_than_so_many_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iii_engine.modules.queue.rabbitmq.arrivals.REMEMBERED", 1)
    here = arrivals("a1", "b1", limits=ORDERED)
    for arrival in here.take(2):
        arrival.running, arrival.job.handed_back = False, 1
    here.leave()
    back = [Job(id=name, created_at=1, data=Raw(b"1")) for name in ("a1", "b1")]
    for job in back:
        here.recall(job, message(redelivered=True))
    assert sorted(job.handed_back for job in back) == [0, 1]


@pytest.mark.parametrize("limits", [ORDERED, SINGLE])
def test_a_group_waits_for_no_job_that_another_engine_has_ended(limits: Limits) -> None:
    here = arrivals("a1", limits=limits)
    (a1,) = here.take(1)
    here.lost()
    here.arrived(Arrival(Job(id="a2", created_at=1, data=Raw(b"1"), group_id="a"), message()))
    assert here.take(1) == []  # its function has not ended
    a1.over = True
    assert ids(here.take(1)) == ["a2"]
    assert ids(here.out) == ["a2"]
