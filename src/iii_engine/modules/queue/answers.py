"""What the functions of `iii-queue` answer."""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType

from iii_engine.modules.queue.job import DeadJob


class Published(Struct):
    """The id of the job, or of the one that was there before."""

    message_id: str
    duplicate: bool = False


class Redriven(Struct):
    """How many dead jobs run again."""

    queue: str
    redriven: int


class RedrivenMessage(Struct):
    """`redriven` 1 when it was there, else 0."""

    queue: str
    message_id: str
    redriven: int


class Topic(Struct):
    """A named queue, or a topic and its triggers."""

    name: str
    broker_type: str
    subscriber_count: int


class TopicStats(Struct):
    """`depth` counts jobs that wait, run or are delayed. What follows `config` is there when the
    request asks for `details`; `dlq_dropped` counts the dead letters that went because there were
    more than `dead_letter_max`, since the engine started, where the engine itself keeps them."""

    depth: int
    consumer_count: int
    dlq_depth: int
    config: None = None
    waiting: int | UnsetType = UNSET
    active: int | UnsetType = UNSET
    delayed: int | UnsetType = UNSET
    dlq_dropped: int | UnsetType = UNSET
    paused: bool | UnsetType = UNSET


class DeadTopic(Struct):
    topic: str
    broker_type: str
    message_count: int


class DeadMessage(Struct):
    """`failed_at` in seconds since the epoch; `size_bytes` of the payload."""

    id: str
    payload: Raw
    error: str
    failed_at: int
    retries: int
    size_bytes: int


class Cancelled(Struct):
    """`was` is the `state` that the job was in; null when there is none."""

    queue: str
    message_id: str
    cancelled: bool
    was: str | None


class Paused(Struct):
    queue: str
    paused: bool


class Renewed(Struct):
    """`renewed` false: the lease is over, or has another holder, and what is done now is lost."""

    queue: str
    message_id: str
    renewed: bool


class Status(Struct):
    """`state` is `waiting`, `active`, `delayed`, `dlq`, or null when there is no such job (any
    more). Times in milliseconds since the epoch."""

    queue: str
    message_id: str
    state: str | None
    attempts: int = 0
    created_at: int | None = None
    process_at: int | None = None
    error: str | None = None


def dead_message(dead: DeadJob) -> DeadMessage:
    job = dead.job
    return DeadMessage(
        job.id,
        job.data,
        dead.error,
        dead.failed_at // 1000,
        job.attempts_made,
        len(job.data),
    )
