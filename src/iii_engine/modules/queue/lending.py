"""Functions of this engine that named queues of another one call.

The other engine gets each under an id of its own, from its first enqueued call on. That it was
lent is known over there, as a topic of that name to which it subscribes: so an engine that starts
anew lends it again, and its jobs, which wait over there, come back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.engine import Engine
from iii_engine.core.timers import Timer
from iii_engine.modules.bridge.remote import RemoteModule
from iii_engine.modules.queue.away import LENT, away
from iii_sdk.protocol import ErrorBody, InvokeFunction

log = logging.getLogger("iii.queue")

LIST_TOPICS: Final = "engine::queue::list_topics"

#: Seconds until the other engine is asked again what was lent, after it could not be.
AGAIN_SECONDS: Final = 5.0


class _Topic(Struct):
    name: str


class Lending:
    """What is lent over a link, until `end` or for as long as the other engine remembers it."""

    _closed = False

    def __init__(self, engine: Engine, remote: RemoteModule) -> None:
        self._engine = engine
        self._remote = remote
        self._lent: dict[str, str] = {}  # with their subscriptions
        self._awaited: dict[str, Callable[[], None]] = {}
        self._again: Timer | None = None
        self._recall()

    def close(self) -> None:
        """The other engine remembers what was lent, and its jobs wait there."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        for function_id, lend in self._awaited.items():
            self._engine.registry.stop_awaiting(function_id, lend)
        self._awaited.clear()

    def end(self) -> None:
        """Lend nothing any more."""
        for subscription in self._lent.values():
            self._remote.ignore(subscription)
        self._lent.clear()

    def id_of(self, function_id: str) -> str:
        """What a function is called over there. One that is not of this engine is theirs."""
        if function_id in self._lent:
            return LENT + function_id
        if function_id in self._engine.registry:
            self._lend(function_id)
            return LENT + function_id
        return function_id

    def _lend(self, function_id: str) -> None:
        self._awaited.pop(function_id, None)
        if function_id in self._lent:
            return
        remote_id = LENT + function_id
        self._lent[function_id] = self._remote.consume(
            "durable:subscriber",
            msgspec.json.encode({"topic": remote_id}),
            remote_id,
            partial(self._run, function_id),
        )

    def _recall(self) -> None:
        """Lend what was lent before this engine started."""

        def answered(result: Raw, error: ErrorBody | None) -> None:
            if self._closed:
                return
            if error is not None:
                log.debug("what was lent is not known yet: %s", error.message)
                self._again = self._engine.timers.after(AGAIN_SECONDS, self._recall)
                return
            for topic in msgspec.json.decode(result, type=list[_Topic]):
                if topic.name.startswith(LENT):
                    self._lend_when_there(topic.name.removeprefix(LENT))

        self._remote.ask(None, LIST_TOPICS, b"{}", answered)

    def _lend_when_there(self, function_id: str) -> None:
        """Another engine may have lent it, so only what is there is lent again."""
        if function_id in self._engine.registry:
            self._lend(function_id)
        elif function_id not in self._awaited:
            lend = self._awaited[function_id] = partial(self._lend, function_id)
            self._engine.registry.await_provider(function_id, lend)

    def _run(self, function_id: str, message: InvokeFunction, epoch: int) -> None:
        """Run a job. While its worker is away it waits at the other engine."""
        if function_id in self._engine.registry:
            self._remote.link.invoke(function_id, message, epoch)
        else:
            self._remote.link.connection.refuse(message, epoch, away(function_id))
