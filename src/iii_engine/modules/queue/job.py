"""What is kept of a job, and what somebody who makes one says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.foreign_json import foreign_json
from iii_sdk.protocol import NULL, JobOptions, tolerant_raw, tolerant_value


class QueueName(NamedTuple):
    """A named queue (`topic` False), or the queue of a function on a topic.

    The queue of a topic without a function keeps what was published before anybody subscribed.
    """

    name: str
    topic: bool = False
    function_id: str = ""

    @property
    def text(self) -> str:
        """As it is shown in logs and spans."""
        return f"{self.name}::{self.function_id}" if self.function_id else self.name


class Job(Struct, omit_defaults=True, kw_only=True):
    """A job as it is stored. Times are milliseconds since the epoch; `data` is the payload.

    `process_at` keeps it back until then. `error` is what the last attempt ended with.
    `handed_back` counts how often an engine took it that did not have its function. `once` is the
    key under which a producer would find it again.
    """

    id: str
    created_at: int
    data: Raw
    function_id: str | None = None
    attempts_made: int = 0
    handed_back: int = 0
    process_at: int = 0
    group_id: str = ""
    priority: int = 0
    traceparent: str | None = None
    baggage: str | None = None
    metadata: Raw = NULL
    error: str | None = None
    once: str | None = None

    def renew(self) -> None:
        """It has all its attempts again."""
        self.attempts_made, self.handed_back, self.process_at, self.error = 0, 0, 0, None


class DeadJob(Struct):
    """An entry of a dead letter queue; `failed_at` in milliseconds since the epoch."""

    job: Job
    error: str
    failed_at: int


class Draft(Struct, kw_only=True):
    """A job that is about to be stored."""

    data: Raw
    options: JobOptions
    function_id: str | None = None
    group_id: str = ""
    traceparent: str | None = None
    baggage: str | None = None
    metadata: Raw = NULL

    @property
    def once(self) -> str | None:
        """The key under which the job is stored once; None for one that has none."""
        key = self.options.idempotency_key or self.options.message_id
        return None if key is None else self._own(key)

    @property
    def debounced_as(self) -> str:
        """The key under which the job takes the place of an earlier one."""
        return self._own(self.options.debounce_key or "")

    def _own(self, key: str) -> str:
        """A key of its function's: who may not call that meets none of its jobs."""
        if self.function_id is None:
            return key  # of a topic, whose functions have queues of their own
        return msgspec.json.encode((self.function_id, key)).decode()

    def job(self, job_id: str, now_ms: int, delay_ms: int = 0) -> Job:
        """It is due `delay_ms` from now."""
        return Job(
            id=job_id,
            created_at=now_ms,
            data=self.data,
            function_id=self.function_id,
            process_at=now_ms + delay_ms if delay_ms else 0,
            group_id=self.group_id,
            traceparent=self.traceparent,
            baggage=self.baggage,
            metadata=self.metadata,
            once=self.once,
        )


class Receipt(NamedTuple):
    """The id of a stored job; `duplicate` when it was there before."""

    message_id: str
    duplicate: bool = False


class Lease(Struct, eq=False):
    """A job that was taken. `token` grows with every lease, so a later holder has a greater one.

    `handle` is the broker's own.
    """

    queue: QueueName
    job: Job
    token: int
    handle: object = None


class Stats(NamedTuple):
    """How many jobs wait, run, are delayed, and are dead."""

    waiting: int = 0
    active: int = 0
    delayed: int = 0
    dead: int = 0

    @property
    def depth(self) -> int:
        return self.waiting + self.active + self.delayed

    @classmethod
    def sum(cls, all: Iterable[Stats]) -> Stats:
        return cls(*map(sum, zip(cls(), *all, strict=True)))


encode_job: Final = msgspec.json.Encoder().encode
_decode_job: Final = msgspec.json.Decoder(Job).decode
_decode_dead: Final = msgspec.json.Decoder(DeadJob).decode


def decode_job(record: bytes) -> Job:
    """A stored job. Raises `msgspec.DecodeError` for what is none."""
    try:
        _check_text(record)
        return _decode_job(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _tolerant_job(_tolerant_object(record))


def decode_dead(record: bytes) -> DeadJob:
    """A dead letter. Raises `msgspec.DecodeError` for what is none."""
    try:
        _check_text(record)
        return _decode_dead(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = _tolerant_object(record)
        job, failed_at = _tolerant_job(fields.get("job")), fields.get("failed_at")
        return DeadJob(job, str(fields.get("error")), msgspec.convert(failed_at, int))


def _check_text(record: bytes) -> None:
    """The reader passes over payloads, and a damaged one would end its worker's connection."""
    if not record.isascii():
        record.decode()


def foreign_job(record: bytes) -> Job:
    """As `decode_job`, from a server on which other programs may have made it."""
    return readable(decode_job(record))


def foreign_dead(record: bytes) -> DeadJob:
    """As `decode_dead`, from such a server."""
    dead = decode_dead(record)
    readable(dead.job)
    return dead


def readable(job: Job) -> Job:
    """The job, if workers can read it: other programs write jobs too.

    Raises `msgspec.DecodeError`.
    """
    try:
        for text in (job.data, job.metadata):
            if text is not NULL:
                foreign_json(bytes(text), again=True)
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from None
    return job


def read_job(key: str, record: bytes) -> Job:
    """A stored job; what is none is dealt with as one, by its place."""
    try:
        return decode_job(record)
    except msgspec.DecodeError:
        return unreadable(key, record)


def read_dead(key: str, record: bytes, decode: Callable[[bytes], DeadJob] = decode_dead) -> DeadJob:
    """A dead letter; what is none is shown as one, by its id."""
    try:
        return decode(record)
    except msgspec.DecodeError as error:
        return DeadJob(unreadable(key, record), f"unreadable: {error}", 0)


def unreadable(key: str, record: bytes) -> Job:
    """What a dead letter shows of a record that is no job: its text, under its place."""
    text = record.decode("utf-8", "replace")
    return Job(id=key, created_at=0, data=Raw(msgspec.json.encode(text)))


def _tolerant_object(record: bytes) -> dict[str, object]:
    """The strict reader refuses lone surrogates, which the bus carries in payloads."""
    try:
        value = tolerant_value(record)
    except (ValueError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
    if not isinstance(value, dict):
        raise msgspec.DecodeError("no object")
    return value


def _tolerant_job(value: object) -> Job:
    if not isinstance(value, dict):
        raise msgspec.DecodeError("no job")
    opaque = {name: tolerant_raw(value.pop(name, None)) for name in ("data", "metadata")}
    job = msgspec.convert({**value, "data": NULL}, Job)
    job.data, job.metadata = opaque["data"], opaque["metadata"]
    return job
