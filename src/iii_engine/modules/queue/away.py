"""Jobs of named queues whose function is another engine's, which may be away.

An engine that uses the queues of this one lends it the functions that it enqueues calls of, under
ids of their own. While that engine is away its jobs wait, where those of a function that is not
there would use up their attempts and die.
"""

from __future__ import annotations

from typing import Final

from iii_engine.modules.queue.job import Job
from iii_sdk.protocol import ErrorBody

#: What the ids of lent functions begin with; the rest is the id at their own engine.
LENT: Final = "bridged::"

#: The error of a job whose function's engine, or worker there, is away.
AWAY: Final = "function_away"

#: How long a job waits for them, as jobs of a topic do, in milliseconds.
PATIENCE_MS: Final = 86_400_000

#: The first and the longest pause between looks. Few lengths, because RabbitMQ has a queue of each.
FIRST_MS: Final = 250
LONGEST_MS: Final = 16_000


def away(function_id: str) -> ErrorBody:
    return ErrorBody(AWAY, f"{function_id} is a function of another engine, and not there now")


def pause_ms(job: Job, now_ms: int) -> int | None:
    """How long a job waits before the next look, the longer the older it is; None for a job that
    has waited long enough."""
    age_ms = now_ms - job.created_at
    if age_ms > PATIENCE_MS:
        return None
    pause = FIRST_MS
    while pause < LONGEST_MS and pause * 8 < age_ms:
        pause *= 2
    return pause
