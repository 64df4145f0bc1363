"""Jobs as JetStream keeps them: the last part of the subject is the id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import msgspec

from iii_engine.modules.queue.job import (
    DeadJob,
    Job,
    foreign_dead,
    foreign_job,
    read_dead,
    unreadable,
)
from iii_engine.net.nats_client import text_of

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js.api import RawStreamMsg

P = ParamSpec("P")
T = TypeVar("T")

#: JetStream's codes for "no message found", and for its deletion.
NO_MESSAGE: Final = (10037, 10057)


def id_of(subject: str) -> str:
    name = subject.rpartition(".")[2]
    try:
        return text_of(name)
    except UnicodeDecodeError:  # none of ours
        return name


def id_in(record: RawStreamMsg) -> str:
    return id_of(record.subject or "")


def job_in(record: RawStreamMsg) -> Job:
    """What is none is dealt with as one, by its subject."""
    try:
        return foreign_job(record.data or b"")
    except msgspec.DecodeError:
        return unreadable(id_in(record), record.data or b"")


def dead_in(record: RawStreamMsg) -> DeadJob:
    """What is none is shown as one, by its subject."""
    return read_dead(id_in(record), record.data or b"", foreign_dead)


def token_of(delivery: Msg.Metadata, before: int) -> int:
    """Grows with each delivery of a job, whoever gets it: when it was stored, in microseconds (or
    the token of who had it `before`, where that is known), and which delivery this is. The server
    counts both, so clocks of engines do not matter."""
    stored = round(delivery.timestamp.timestamp() * 1_000_000)
    return max(stored, before) + (delivery.num_delivered or 1)


async def found_or_none(
    request: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T | None:
    """None when JetStream has no such message. It is not begun when this is not awaited."""
    from nats.js.errors import APIError, NotFoundError

    try:
        return await request(*args, **kwargs)
    except NotFoundError:
        return None
    except APIError as error:
        if error.err_code in NO_MESSAGE:
            return None
        raise
