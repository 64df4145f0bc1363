"""Jobs as messages: the payload is the body, everything else is in properties and headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from iii_engine.modules.queue.job import DeadJob, Job, encode_job, readable
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, is_null

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage
    from aio_pika.message import Message

#: Bytes of headers; all of them must fit in one frame.
HEADERS: Final = 64 * 1024
#: What is raised for a message that is no job.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
#: Characters of an error that travel with a job.
ERROR: Final = 2000


class TooLarge(BusError):
    """Metadata and baggage of a job do not fit in the headers of a message."""

    code = "metadata_too_large"


class Headers(Struct, omit_defaults=True, kw_only=True):
    """`x-attempt` counts the attempts made. Times are milliseconds since the epoch."""

    function_id: str | None = None
    traceparent: str | None = None
    baggage: str | None = None
    attempt: int = msgspec.field(name="x-attempt", default=0)
    handed_back: int = msgspec.field(name="x-handed-back", default=0)
    created_at: int = msgspec.field(name="x-created-at", default=0)
    process_at: int = msgspec.field(name="x-process-at", default=0)
    group: str = msgspec.field(name="x-group", default="")
    metadata: str = msgspec.field(name="x-metadata", default="")
    error: str | None = msgspec.field(name="x-error", default=None)


class DeadLetter(Struct):
    """The body of a dead job; `exhausted_at` in milliseconds since the epoch."""

    job: Job
    error: str
    exhausted_at: int


_decode_dead: Final = msgspec.json.Decoder(DeadLetter).decode


def message_of(job: Job) -> Message:
    """Raises `TooLarge`."""
    metadata = "" if is_null(job.metadata) else bytes(job.metadata).decode()
    headers = Headers(
        function_id=job.function_id,
        traceparent=job.traceparent,
        baggage=job.baggage,
        handed_back=job.handed_back,
        created_at=job.created_at,
        process_at=job.process_at,
        group=job.group_id,
        metadata=metadata,
        error=job.error and job.error[:ERROR],
    )
    members = msgspec.to_builtins(headers) | {"x-attempt": job.attempts_made}
    if len(msgspec.json.encode(members)) > HEADERS:
        raise TooLarge(f"metadata, key and baggage of a job: more than {HEADERS:,} bytes")
    return _persistent(bytes(job.data), job.id, members)


def dead_message(dead: DeadJob) -> Message:
    letter = DeadLetter(dead.job, dead.error, dead.failed_at)
    return _persistent(encode_job(letter), dead.job.id, {"x-attempt": dead.job.attempts_made})


def _persistent(body: bytes, message_id: str, headers: dict[str, object]) -> Message:
    from aio_pika.abc import DeliveryMode
    from aio_pika.message import Message

    return Message(
        body,
        headers=headers,  # type: ignore[arg-type]
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=message_id,
    )


def job_of(message: AbstractIncomingMessage, new_id: str) -> Job:
    """Also of a message that another program has published. Raises `msgspec.DecodeError`."""
    headers = msgspec.convert(dict(message.headers), Headers, strict=False)
    metadata = headers.metadata.encode("utf-8", "surrogatepass")
    job = Job(
        id=message.message_id or new_id,
        created_at=headers.created_at,
        data=Raw(message.body),
        function_id=headers.function_id,
        attempts_made=headers.attempt,
        handed_back=headers.handed_back,
        process_at=headers.process_at,
        group_id=headers.group,
        traceparent=headers.traceparent,
        baggage=headers.baggage,
        metadata=Raw(metadata) if metadata else NULL,
        error=headers.error,
    )
    return readable(job)


def copy_of(message: AbstractIncomingMessage) -> Message:
    """The same message for another queue, whatever it is."""
    return _persistent(message.body, message.message_id or "", dict(message.headers))


def dead_job(message: AbstractIncomingMessage, new_id: str, error: str, now_ms: int) -> DeadJob:
    """A message that dies, and why: also of what is no job."""
    try:
        job = job_of(message, new_id)
    except UNREADABLE as problem:
        return unreadable(message, new_id, str(problem), now_ms)
    job.error = error
    return DeadJob(job, error, now_ms)


def dead_of(message: AbstractIncomingMessage) -> DeadJob:
    """Raises `msgspec.DecodeError`."""
    letter = _decode_dead(message.body)
    return DeadJob(readable(letter.job), letter.error, letter.exhausted_at)


def unreadable(message: AbstractIncomingMessage, new_id: str, error: str, now_ms: int) -> DeadJob:
    """What is no job, as a dead one: its text is the payload."""
    data = Raw(msgspec.json.encode(message.body.decode("utf-8", "replace")))
    job = Job(id=message.message_id or new_id, created_at=now_ms, data=data)
    return DeadJob(job, f"unreadable_message: {error}", now_ms)
