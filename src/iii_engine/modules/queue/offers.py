"""The functions of `iii-queue`: their ids, requests and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from msgspec import Struct

from iii_engine.core.router import Call
from iii_engine.modules.queue import answers, requests
from iii_engine.modules.queue.controls import Controls
from iii_engine.modules.queue.elsewhere import Elsewhere
from iii_engine.modules.queue.embedded import EmbeddedBroker
from iii_engine.modules.queue.handlers import Handlers, handling
from iii_engine.modules.queue.queues import Queues
from iii_engine.modules.queue.steps import Publishing

#: The function that puts a message on a topic, and its older names.
PUBLISH = ("iii::durable::publish", "iii::queue::publish", "enqueue")


class Offer(NamedTuple):
    """A function; `response` is the type of its result."""

    function_id: str
    handler: Callable[[Call], None]
    description: str
    request: type[Struct]
    response: Any


def offers(queues: Queues, controls: Controls, elsewhere: Elsewhere) -> Iterator[Offer]:
    """All functions."""
    handlers = Handlers(queues)
    publish = handling(requests.PublishRequest, handlers.publish)
    if isinstance(queues.broker, EmbeddedBroker):
        publish = Publishing(queues.broker, handlers)
    for function_id in PUBLISH:
        yield Offer(
            function_id,
            publish,
            "Put a message on a durable topic: every subscribed function gets it",
            requests.PublishRequest,
            answers.Published | None,
        )
    yield from _jobs(elsewhere)
    yield from _pauses(controls)
    yield from _dead_letters(handlers)
    yield from _numbers(handlers)


def _jobs(elsewhere: Elsewhere) -> Iterator[Offer]:
    yield Offer(
        "iii::queue::cancel",
        elsewhere.cancel,
        "Remove a job; of one that runs, the answer does not count any more",
        requests.MessageRequest,
        answers.Cancelled,
    )
    yield Offer(
        "iii::queue::status",
        elsewhere.status,
        "How far a job is",
        requests.MessageRequest,
        answers.Status,
    )
    yield Offer(
        "iii::queue::heartbeat",
        elsewhere.heartbeat,
        "Say that a job is still worked on: its lease is renewed",
        requests.HeartbeatRequest,
        answers.Renewed,
    )


def _pauses(controls: Controls) -> Iterator[Offer]:
    yield Offer(
        "iii::queue::pause",
        handling(requests.QueueRequest, controls.pause),
        "Start no more jobs of a queue or topic, until it is resumed",
        requests.QueueRequest,
        answers.Paused,
    )
    yield Offer(
        "iii::queue::resume",
        handling(requests.QueueRequest, controls.resume),
        "Start jobs of a queue or topic again",
        requests.QueueRequest,
        answers.Paused,
    )


def _dead_letters(handlers: Handlers) -> Iterator[Offer]:
    yield Offer(
        "iii::queue::redrive",
        handling(requests.QueueRequest, handlers.redrive),
        "Run all dead jobs of a queue again",
        requests.QueueRequest,
        answers.Redriven,
    )
    yield Offer(
        "iii::queue::redrive_message",
        handling(requests.MessageRequest, handlers.redrive_message),
        "Run one dead job again",
        requests.MessageRequest,
        answers.RedrivenMessage,
    )
    yield Offer(
        "iii::queue::discard_message",
        handling(requests.MessageRequest, handlers.discard_message),
        "Forget one dead job; `redriven` is 1 when it was there",
        requests.MessageRequest,
        answers.RedrivenMessage,
    )


def _numbers(handlers: Handlers) -> Iterator[Offer]:
    yield Offer(
        "engine::queue::list_topics",
        handling(object, handlers.list_topics),
        "Named queues, and topics that have subscribers or jobs",
        requests.Anything,
        list[answers.Topic],
    )
    yield Offer(
        "engine::queue::topic_stats",
        handling(requests.StatsRequest, handlers.topic_stats),
        "How many jobs of a queue or topic there are; with `details`, how many wait, run and are"
        " delayed, and whether it is paused",
        requests.StatsRequest,
        answers.TopicStats,
    )
    yield Offer(
        "engine::queue::dlq_topics",
        handling(object, handlers.dead_topics),
        "Queues and topics that have dead jobs",
        requests.Anything,
        list[answers.DeadTopic],
    )
    yield Offer(
        "engine::queue::dlq_messages",
        handling(requests.DeadRequest, handlers.dead_messages),
        "The dead jobs of a queue or topic, newest first; a page ends after 4 MiB of payloads",
        requests.DeadRequest,
        list[answers.DeadMessage],
    )
