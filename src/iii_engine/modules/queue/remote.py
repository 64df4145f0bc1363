"""The adapter `bridge`: the queues of another engine.

Jobs are kept, tried again and buried over there; functions of this engine that subscribe to topics
are called from there. A named queue calls functions of either engine: those that are here are lent.
A function id that subscribes at both engines is two functions, and each gets every message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw

from iii_engine.core.engine import Engine
from iii_engine.core.registry import LocalHandler
from iii_engine.core.router import Call
from iii_engine.core.sessions import Status
from iii_engine.core.timers import Timer
from iii_engine.core.triggers import Trigger
from iii_engine.modules.bridge.remote import RemoteModule
from iii_engine.modules.queue.away import away
from iii_engine.modules.queue.lending import Lending
from iii_engine.modules.queue.ownership import Ownership
from iii_engine.modules.queue.subscription import read_config, subscriber_type
from iii_sdk.protocol import NULL, EnqueueAction, ErrorBody, InvokeFunction

log = logging.getLogger("iii.queue")

#: The functions, with what the other engine calls them where that differs.
FUNCTIONS: Final = {
    "iii::durable::publish": "iii::durable::publish",
    "iii::queue::publish": "iii::durable::publish",
    "enqueue": "iii::durable::publish",
    "iii::queue::redrive": "iii::queue::redrive",
    "iii::queue::redrive_message": "iii::queue::redrive_message",
    "iii::queue::discard_message": "iii::queue::discard_message",
    "iii::queue::cancel": "iii::queue::cancel",
    "iii::queue::status": "iii::queue::status",
    "iii::queue::heartbeat": "iii::queue::heartbeat",
    "iii::queue::pause": "iii::queue::pause",
    "iii::queue::resume": "iii::queue::resume",
    "engine::queue::list_topics": "engine::queue::list_topics",
    "engine::queue::topic_stats": "engine::queue::topic_stats",
    "engine::queue::dlq_topics": "engine::queue::dlq_topics",
    "engine::queue::dlq_messages": "engine::queue::dlq_messages",
}

#: How long messages are kept for a function whose worker is away, in seconds.
BINDING_TTL_SECONDS: Final = 86_400.0


@dataclass
class _Subscriber:
    """A function of a topic with its triggers, newest last.

    Without a trigger its worker is away, and `timer` waits for the end of the subscription.
    """

    topic: str
    function_id: str
    triggers: dict[Trigger, str | None] = field(default_factory=dict)  # with their conditions
    subscription: str | None = None
    timer: Timer | None = None
    ownership: Ownership = field(default_factory=lambda: Ownership(known=False))

    @property
    def condition(self) -> str | None:
        return next(reversed(self.triggers.values())) if self.triggers else None

    @property
    def remote_id(self) -> str:
        """The same after a restart of this engine: jobs that wait over there are for it."""
        return f"bridge::{self.topic}::{self.function_id}"


class RemoteQueues(RemoteModule):
    """Takes subscriptions of this engine to the other one, and its jobs to the functions."""

    def __init__(self, engine: Engine, url: str) -> None:
        super().__init__(engine, url)
        self._engine = engine
        self._all: dict[tuple[str, str], _Subscriber] = {}
        self._closed = False
        self._lending = Lending(engine, self)
        self.kind = subscriber_type(self._bind, self._unbind)

    def functions(self) -> dict[str, LocalHandler]:
        """All functions of the module with their handlers."""
        return {name: self.handler(remote_id) for name, remote_id in FUNCTIONS.items()}

    def enqueue(self, call: Call, action: EnqueueAction) -> None:
        """Put the call on a named queue over there."""

        def on_answer(result: Raw, error: ErrorBody | None) -> None:
            if error is not None and error.code != "enqueue_error":
                error = ErrorBody("enqueue_error", error.message, details={"code": error.code})
            call.settle(result, error)

        self.ask(
            call,
            self._lending.id_of(call.function_id),
            call.data,
            on_answer,
            action=b'"action":%b,' % msgspec.json.encode(action),
        )

    # -- subscriptions ---------------------------------------------------------------------------

    def _bind(self, trigger: Trigger) -> None:
        config, _ = read_config(trigger.config)
        key = (config.topic, trigger.function_id)
        if key in self._all:
            self._all[key].ownership.check(trigger)
        subscriber = self._all.setdefault(key, _Subscriber(*key))
        subscriber.ownership.take(trigger)
        subscriber.triggers[trigger] = config.function_id
        if subscriber.timer is not None:
            subscriber.timer.cancel()
            subscriber.timer = None
        remote = {"topic": config.topic, "queue_config": config.queue_config}
        self._subscribe(subscriber, msgspec.json.encode(remote))

    def _subscribe(self, subscriber: _Subscriber, config: bytes) -> None:
        """What the newest trigger says counts; the jobs that wait stay where they are."""
        before = subscriber.subscription
        if before is not None:
            self.ignore(before)
        subscriber.subscription = self.consume(
            "durable:subscriber", config, subscriber.remote_id, partial(self._deliver, subscriber)
        )

    def _unbind(self, trigger: Trigger) -> None:
        config, _ = read_config(trigger.config)
        subscriber = self._all.get((config.topic, trigger.function_id))
        if subscriber is None or subscriber.triggers.pop(trigger, None) is None:
            log.debug("trigger %s is not bound", trigger.id)
        if subscriber is None:
            return
        if subscriber.triggers:
            subscriber.ownership.take(next(reversed(subscriber.triggers)))
            return
        away = trigger.owner is not None and trigger.owner.status is Status.GONE
        # Without a wait the same trigger may be bound anew in a moment, with another config.
        seconds = BINDING_TTL_SECONDS if away else 0
        subscriber.timer = self._engine.timers.after(seconds, partial(self._end, subscriber))

    def _end(self, subscriber: _Subscriber) -> None:
        if not subscriber.triggers and subscriber.subscription is not None:
            del self._all[subscriber.topic, subscriber.function_id]
            self.ignore(subscriber.subscription)

    def leave(self) -> None:
        """Taken out of a running engine: its functions subscribe to nothing over there any more."""
        self._lending.end()
        for subscriber in list(self._all.values()):
            subscriber.triggers.clear()
            self._end(subscriber)

    async def close(self) -> None:
        """The subscriptions stay over there, and their jobs wait until this engine is back."""
        self._closed = True
        self._lending.close()
        for subscriber in self._all.values():
            if subscriber.timer is not None:
                subscriber.timer.cancel()
        self._subscriptions.clear()
        await super().close()

    # -- jobs ------------------------------------------------------------------------------------

    def _deliver(self, subscriber: _Subscriber, message: InvokeFunction, epoch: int) -> None:
        """Run a job. While the function's worker is away it waits at the other engine.

        Not here: its lease over there would end, or the link, and it would be given out again.
        """
        function_id = subscriber.function_id
        if not self._closed and (subscriber.triggers or function_id in self._engine.registry):
            self._run(subscriber, message, epoch)
        else:
            self.link.connection.refuse(message, epoch, away(function_id))

    def _run(self, subscriber: _Subscriber, message: InvokeFunction, epoch: int) -> None:
        connection = self.link.connection

        def answer(result: Raw, error: ErrorBody | None) -> None:
            if error is None:
                connection.answer(message, epoch, result)
            else:
                connection.refuse(message, epoch, error)

        def decided(result: Raw, error: ErrorBody | None) -> None:
            if error is not None or bytes(result).strip() == b"false":
                answer(NULL, error)
            else:
                self._call(subscriber.function_id, message, answer)

        condition = subscriber.condition
        if condition is None:
            self._call(subscriber.function_id, message, answer)
        else:
            self._call(condition, message, decided)

    def _call(
        self,
        function_id: str,
        message: InvokeFunction,
        on_answer: Callable[[Raw, ErrorBody | None], None],
    ) -> None:
        self._engine.call(
            function_id,
            message.data,
            on_answer,
            traceparent=message.traceparent,
            baggage=message.baggage,
            metadata=message.metadata,
        )
