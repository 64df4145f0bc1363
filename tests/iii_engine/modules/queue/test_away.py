"""How often engines of one server give a job back whose function none of them has."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from iii_engine.modules.queue.away import LOOKS, PATIENT_LOOKS, looks_on, pause_ms
from iii_engine.modules.queue.job import Job


def given_back(job: Job, *, expected: bool) -> list[int]:
    """The pauses, in milliseconds, until its attempts count."""
    job, pauses = msgspec.structs.replace(job), []
    while looks_on(job, expected=expected):
        pauses.append(pause_ms(job, 0) or 0)
        job.handed_back += 1
    return pauses


JOB = Job(id="j", created_at=0, data=Raw(b"1"), function_id="f")


def test_a_function_that_nobody_has_is_looked_for_two_minutes() -> None:
    pauses = given_back(JOB, expected=False)
    assert pauses[:5] == [250, 500, 1000, 2000, 2000]
    assert (len(pauses), sum(pauses) // 60_000) == (LOOKS, 2)


def test_a_function_whose_worker_is_away_is_looked_for_a_day() -> None:
    pauses = given_back(JOB, expected=True)
    assert (len(pauses), max(pauses)) == (PATIENT_LOOKS, 16_000)
    assert sum(pauses) // 3_600_000 == 24
