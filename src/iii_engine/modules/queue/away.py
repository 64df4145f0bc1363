"""Jobs of named queues whose function is at another engine, which may be away.

An engine that uses the queues of this one over a bridge lends it the functions that it enqueues
calls of, under ids of their own. While that engine is away its jobs wait for a day, as those of a
topic do.

Engines that share a server take each other's jobs. Who has no provider for a function gives its job
back, `LOOKS` times in all, which takes two minutes: nobody needs to know what others have, and the
job whose function nobody has dies soon. Where the function was until its worker went, it is given
back for a day. Neither counts as an attempt.
"""

from __future__ import annotations

from typing import Final

from iii_engine.modules.queue.job import Job
from iii_sdk.protocol import ErrorBody

#: What the ids of lent functions begin with; the rest is the id at their own engine.
LENT: Final = "bridged::"

#: The error of a job whose function's engine, or worker there, is away.
AWAY: Final = "function_away"

#: How long a job waits for a lent function, in milliseconds.
PATIENCE_MS: Final = 86_400_000

#: How often engines of one server give a job back.
LOOKS: Final = 64

#: And of a function that was there: for a day.
PATIENT_LOOKS: Final = LOOKS + 5_400

#: The first and the longest pause between looks: for lent functions, and at a server. Few lengths,
#: because RabbitMQ has a queue of each.
FIRST_MS: Final = 250
LONGEST_MS: Final = 16_000
SHARED_MS: Final = 2_000


def away(function_id: str) -> ErrorBody:
    return ErrorBody(AWAY, f"{function_id} is a function of another engine, and not there now")


def looks_on(job: Job, *, expected: bool = False) -> bool:
    """Whether another engine of the same server may have its function, or gets it back."""
    return job.handed_back < (PATIENT_LOOKS if expected else LOOKS)


def pause_ms(job: Job, now_ms: int) -> int | None:
    """How long a job waits before the next look; None for a job that has waited long enough.

    For a lent function the longer the older it is, else the longer the oftener it was given back.
    """
    if not (job.function_id or "").startswith(LENT):
        longest = SHARED_MS if job.handed_back < LOOKS else LONGEST_MS
        return min(FIRST_MS << min(job.handed_back, 10), longest)
    age_ms = now_ms - job.created_at
    if age_ms > PATIENCE_MS:
        return None
    pause = FIRST_MS
    while pause < LONGEST_MS and pause * 8 < age_ms:
        pause *= 2
    return pause
