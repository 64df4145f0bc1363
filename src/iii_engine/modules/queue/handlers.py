"""The functions of `iii-queue`, from a call to the broker and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from iii_engine.core.caller_stamp import without_caller
from iii_engine.core.router import Call
from iii_engine.modules.base import fail, read
from iii_engine.modules.queue import answers, requests
from iii_engine.modules.queue.broker import Done
from iii_engine.modules.queue.dead_page import DeadPage
from iii_engine.modules.queue.gathering import gather
from iii_engine.modules.queue.job import DeadJob, Draft, QueueName, Receipt, Stats
from iii_engine.modules.queue.queues import Queues
from iii_engine.modules.queue.reading import RECORDS
from iii_sdk.errors import BusError

Q = TypeVar("Q")
T = TypeVar("T")


def handling(kind: type[Q], handle: Callable[[Call, Q], None]) -> Callable[[Call], None]:
    """A handler that reads a `kind` and goes on with it; what that refuses is the answer."""

    def handler(call: Call) -> None:
        try:
            handle(call, read(call, kind))
        except BusError as error:
            fail(call, error)

    return handler


def answering(call: Call, code: str, answer: Callable[[T], Any]) -> Done[T]:
    """Answer a call with what becomes of a result; `code` is that of a failure."""

    def done(result: T | None, error: BaseException | None) -> None:
        if error is not None or result is None:
            fail(call, error, code)
        else:
            call.reply(msgspec.json.encode(answer(result)))

    return done


def named(value: str, code: str, field: str) -> str:
    """The value; a missing one is refused with a code of its own."""
    if not value:
        raise BusError(f"{field} is not set ($.{field})", code=code)
    return value


def published(cause: Call, request: requests.PublishRequest) -> Draft:
    """The job that a message becomes. Raises `BusError` when the topic is missing."""
    named(request.topic, "topic_not_set", "topic")
    return Draft(
        data=Raw(without_caller(bytes(request.data))),
        options=request,
        group_id=request.key or "",
        traceparent=cause.traceparent,
        baggage=cause.baggage,
    )


def publish_answer(request: requests.PublishRequest, receipt: Receipt) -> bytes:
    """Null, unless a receipt was asked for."""
    if not request.return_receipt:
        return b"null"
    return msgspec.json.encode(answers.Published(*receipt))


class Handlers:
    """What each function does."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._broker = queues.broker

    def publish(self, call: Call, request: requests.PublishRequest) -> None:
        draft = published(call, request)

        def done(receipt: Receipt | None, error: BaseException | None) -> None:
            if receipt is None:
                fail(call, error, "publish_failed")
            else:
                call.reply(publish_answer(request, receipt))

        self._broker.publish(request.topic, draft, done)

    # -- dead letters ----------------------------------------------------------------------------

    def redrive(self, call: Call, request: requests.QueueRequest) -> None:
        name = named(request.queue, "queue_not_set", "queue")

        def ask(queue: QueueName, done: Done[int]) -> None:
            self._broker.redrive(queue, None, done)

        def answer(counts: list[int]) -> answers.Redriven:
            return answers.Redriven(name, sum(counts))

        gather(
            self._queues.behind(name),
            ask,
            self._queues.soon,
            answering(call, "redrive_failed", answer),
        )

    def redrive_message(self, call: Call, request: requests.MessageRequest) -> None:
        self._one(call, request, "redrive_message_failed", self._broker.redrive)

    def discard_message(self, call: Call, request: requests.MessageRequest) -> None:
        self._one(call, request, "discard_message_failed", self._broker.discard)

    def _one(
        self,
        call: Call,
        request: requests.MessageRequest,
        code: str,
        work: Callable[[QueueName, str, Done[int]], None],
    ) -> None:
        name, message_id = message_of(request)

        def ask(queue: QueueName, done: Done[int]) -> None:
            work(queue, message_id, done)

        def answer(counts: list[int]) -> answers.RedrivenMessage:
            return answers.RedrivenMessage(name, message_id, int(any(counts)))

        gather(self._queues.behind(name), ask, self._queues.soon, answering(call, code, answer))

    def dead_topics(self, call: Call, request: object) -> None:
        behind = self._queues.all_behind()

        def answer(found: list[Stats]) -> list[answers.DeadTopic]:
            kind = self._broker.kind
            return [
                answers.DeadTopic(name, kind, stats.dead)
                for name, stats in zip(behind, found, strict=True)
                if stats.dead
            ]

        gather(
            list(behind),
            lambda name, done: self._stats(behind[name], done),
            self._queues.soon,
            answering(call, "dlq_topics_failed", answer),
        )

    def dead_messages(self, call: Call, request: requests.DeadRequest) -> None:
        topic = named(request.topic, "topic_required", "topic")

        def answer(found: list[DeadJob]) -> list[answers.DeadMessage]:
            return [answers.dead_message(each) for each in found]

        DeadPage(
            self._broker,
            self._queues.behind(topic),
            request.offset,
            min(request.limit, RECORDS),
            self._queues.soon,
            answering(call, "dlq_messages_failed", answer),
        ).read()

    # -- numbers ---------------------------------------------------------------------------------

    def list_topics(self, call: Call, request: object) -> None:
        kind, counts = self._broker.kind, self._queues.consumer_counts()
        behind, bound = self._queues.all_behind(), self._queues.bound()
        loose = [name for name in behind if name not in bound]

        def answer(jobs: list[Stats]) -> list[answers.Topic]:
            empty = {name for name, stats in zip(loose, jobs, strict=True) if not any(stats)}
            return [
                answers.Topic(name, kind, counts.get(name, 0))
                for name in behind
                if name not in empty
            ]

        gather(
            loose,
            lambda name, done: self._stats(behind[name], done),
            self._queues.soon,
            answering(call, "list_topics_failed", answer),
        )

    def _stats(self, queues: list[QueueName], done: Done[Stats]) -> None:
        """Of all these queues together."""

        def summed(found: list[Stats] | None, error: BaseException | None) -> None:
            done(None if found is None else Stats.sum(found), error)

        gather(queues, self._broker.stats, self._queues.soon, summed)

    def topic_stats(self, call: Call, request: requests.StatsRequest) -> None:
        topic = named(request.topic, "topic_required", "topic")

        def answer(stats: Stats) -> answers.TopicStats:
            count = self._queues.consumer_counts().get(topic, 0)
            answer = answers.TopicStats(stats.depth, count, stats.dead)
            if request.details:
                answer.waiting, answer.active, answer.delayed = stats[:3]
                dropped = [self._broker.dropped(queue) for queue in self._queues.behind(topic)]
                if None not in dropped:
                    answer.dlq_dropped = sum(each or 0 for each in dropped)
                answer.paused = topic in self._queues.pauses
            return answer

        self._stats(self._queues.behind(topic), answering(call, "topic_stats_failed", answer))


def message_of(request: requests.MessageRequest) -> tuple[str, str]:
    """Queue and message id of a request. Raises `BusError` for one that is missing."""
    name = named(request.queue, "queue_not_set", "queue")
    return name, named(request.message_id, "message_id_not_set", "message_id")
