"""One delivery of a job: the condition, the handler, the lease, and the first of their ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.router import Call
from iii_engine.core.spans import Attributes
from iii_engine.core.timers import Timer
from iii_engine.core.tracing import OwnSpan
from iii_engine.modules.queue.away import AWAY, LENT, away
from iii_engine.modules.queue.job import Lease, QueueName
from iii_sdk.protocol import ErrorBody, is_null

if TYPE_CHECKING:
    from iii_engine.modules.queue.consumer import Consumer


class Delivery(Struct):
    """What a handler whose lease can end is told in the metadata of its call, as `iii_queue`."""

    queue: str
    message_id: str
    attempt: int
    token: int
    visibility_timeout_ms: int


class Run(Struct, eq=False):
    """Tells its consumer `done` or `failed`, once; after `abandon` nothing."""

    _consumer: Consumer
    lease: Lease
    _span: OwnSpan
    _call: Call | None = None
    _timer: Timer | None = None
    _over: bool = False

    def start(self) -> None:
        condition = self._consumer.target.condition
        if self._consumer.settings.visibility_timeout_ms:
            self.renew()
        if condition is None:
            self._handle()
        else:
            self._ask(condition, self._decided)

    def renew(self, timeout_ms: int | None = None) -> None:
        """The lease ends so many milliseconds from now (default: what the queue says; 0: never)."""
        if timeout_ms is None:
            timeout_ms = self._consumer.settings.visibility_timeout_ms
        if self._timer is not None:
            self._timer.cancel()
        if timeout_ms:
            self._timer = self._consumer.engine.timers.after(timeout_ms / 1000, self._expire)

    def abandon(self, error: str | None = None) -> None:
        """What the call answers does not count any more."""
        if not self._over:
            self._span.end(error)
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._call is not None:
            self._call.cancel()

    @property
    def _function_id(self) -> str:
        return _function_of(self._consumer, self.lease)

    def _handle(self) -> None:
        """Call the handler, unless its worker is away: then the job waits for it."""
        consumer, function_id = self._consumer, self._function_id
        if function_id in consumer.engine.registry:
            self._ask(function_id, self._handled)
        elif function_id.startswith(LENT) or consumer.hands_back(function_id, self.lease.job):
            self._fail(away(function_id))
        elif consumer.waits(function_id, self.lease.job):
            self.abandon(AWAY)
            consumer.set_aside(self.lease, function_id)
        else:
            self._ask(function_id, self._handled)

    def _ask(self, function_id: str, on_answer: Callable[[Raw, ErrorBody | None], None]) -> None:
        job = self.lease.job
        self._call = self._consumer.engine.call(
            function_id,
            job.data,
            on_answer,
            traceparent=self._span.traceparent or None,
            baggage=job.baggage,
            metadata=self._metadata(),
        )

    def _metadata(self) -> Raw:
        given = self._consumer.target.metadata or self.lease.job.metadata
        timeout_ms = self._consumer.settings.visibility_timeout_ms
        if not timeout_ms:
            return given
        job = self.lease.job
        told = Delivery(
            self._consumer.queue.name, job.id, job.attempts_made, self.lease.token, timeout_ms
        )
        try:
            members = {} if is_null(given) else msgspec.json.decode(given, type=dict[str, Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            members = {"metadata": given}
        members["iii_queue"] = Raw(msgspec.json.encode(told))
        return Raw(msgspec.json.encode(members))

    def _decided(self, result: Raw, error: ErrorBody | None) -> None:
        if self._over:
            return
        if error is not None:
            self._fail(error)
        elif bytes(result).strip() == b"false":
            self._end()
        else:
            self._handle()

    def _handled(self, _: Raw, error: ErrorBody | None) -> None:
        if self._over:
            return
        if error is not None:
            self._fail(error)
        else:
            self._end()

    def _expire(self) -> None:
        self._fail(ErrorBody("lease_expired", "No heartbeat within the visibility timeout"))

    def _end(self) -> None:
        self.abandon()
        self._consumer.done(self.lease)

    def _fail(self, error: ErrorBody) -> None:
        self.abandon(error.code)
        self._consumer.failed(self.lease, error)


def begin(consumer: Consumer, lease: Lease) -> Run:
    """A delivery, whose span has begun."""
    job, queue = lease.job, consumer.queue
    if queue.topic:
        attributes = partial(_of_topic, queue, job.id)
    else:
        told = (_function_of(consumer, lease), job.attempts_made, lease.token)
        attributes = partial(_of_queue, queue, *told)
    span = consumer.engine.tracing.start(
        consumer.span_name, kind="consumer", parent=job.traceparent, attributes=attributes
    )
    return Run(consumer, lease, span)


def _function_of(consumer: Consumer, lease: Lease) -> str:
    return consumer.target.function_id or lease.job.function_id or ""


def _of_any(queue: QueueName) -> Attributes:
    return (
        ("queue", queue.text),
        ("messaging.system", "iii-queue"),
        ("messaging.destination.name", queue.name),
        ("messaging.operation.type", "process"),
    )


def _of_topic(queue: QueueName, job_id: str) -> Attributes:
    """The attributes of a delivery, made when somebody looks."""
    return (*_of_any(queue), ("job_id", job_id))


def _of_queue(queue: QueueName, function_id: str, attempts: int, token: int) -> Attributes:
    """The attributes of a delivery, made when somebody looks."""
    return (
        *_of_any(queue),
        ("function_id", function_id),
        ("attempt", attempts),
        ("delivery_id", str(token)),
    )
