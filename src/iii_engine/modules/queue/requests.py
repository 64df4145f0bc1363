"""What the functions of `iii-queue` are called with. A missing name has an error of its own."""

from __future__ import annotations

from msgspec import Raw, Struct, field

from iii_engine.modules.bounds import NotNegative, Positive
from iii_sdk.protocol import NULL, Id, JobOptions


class PublishRequest(JobOptions, kw_only=True):
    """A message for a topic. With `return_receipt` the answer is its id."""

    topic: Id = ""
    data: Raw = field(default_factory=lambda: NULL)
    return_receipt: bool = False


class QueueRequest(Struct):
    """A named queue, or else a topic."""

    queue: Id = ""


class MessageRequest(QueueRequest):
    """One job of a queue or topic."""

    message_id: Id = ""


class HeartbeatRequest(MessageRequest):
    """The lease to renew: `token` is what its holder was told."""

    token: int | None = None
    visibility_timeout_ms: Positive | None = None


class Anything(Struct):
    """Whatever it is, it says nothing."""


class TopicRequest(Struct):
    """A named queue, or else a topic."""

    topic: Id = ""


class StatsRequest(TopicRequest):
    """With `details` the answer has more figures than the usual ones."""

    details: bool = False


class DeadRequest(TopicRequest):
    """A page of dead jobs, newest first."""

    offset: NotNegative = 0
    limit: NotNegative = 50
