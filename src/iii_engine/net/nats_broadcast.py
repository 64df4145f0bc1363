"""Messages over NATS: a topic is a subject below a root, its trace is in headers."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from iii_engine.net.broadcast import Broadcast, Heard, Message
from iii_engine.net.nats_client import MAX_SUBJECT, NatsConnection, text_of, token
from iii_engine.storage.base import StoreError

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

log = logging.getLogger("iii.broadcast")

#: Seconds in which the server has to confirm that it has got everything.
FLUSH_SECONDS: Final = 5
TRACEPARENT: Final = "traceparent"
BAGGAGE: Final = "baggage"


class NatsBroadcast(Broadcast):
    """See `Broadcast`. Other programs find a topic `a.b` under the subject `<root>.a.b`."""

    def __init__(self, url: str, root: str, heard: Heard) -> None:
        super().__init__(heard)
        self._root = f"{root}."
        self._subscriptions: dict[str, Subscription] = {}
        self._aligning: asyncio.Task[None] | None = None
        self._connection = NatsConnection(url)

    @property
    def name(self) -> str:
        return self._connection.where

    async def open(self) -> None:
        await self._connection.open(self._reconnected)
        await super().open()

    async def _reconnected(self) -> None:
        """The client has subscribed again by itself."""
        self.returned()

    async def close(self) -> None:
        await super().close()
        if self._aligning is not None:
            await asyncio.wait([self._aligning])
        await self._connection.close()

    async def _greet(self) -> None:
        await self._connection.ask(self._connection.client.flush(FLUSH_SECONDS))

    # -- sending ---------------------------------------------------------------------------------

    async def _send(self, messages: list[Message]) -> list[StoreError | None]:
        return await self._connection.ask(self._send_all(messages))

    async def _send_all(self, messages: list[Message]) -> list[StoreError | None]:
        client = self._connection.client
        refused: list[StoreError | None] = []
        for message in messages:
            subject = self._root + topic_subject(message.topic)
            headers = {TRACEPARENT: message.traceparent, BAGGAGE: message.baggage}
            known = {name: value for name, value in headers.items() if value}
            problem = self._connection.too_large(message.data, known)
            if len(subject) > MAX_SUBJECT:
                problem = StoreError(f"{self.name}: the topic is too long")
            refused.append(problem)
            if problem is None:
                await client.publish(subject, message.data, headers=known or None)
        await client.flush(FLUSH_SECONDS)
        return refused

    # -- hearing ---------------------------------------------------------------------------------

    def _wanted_changed(self) -> None:
        if self._aligning is None:
            self._aligning = asyncio.get_running_loop().create_task(self._align())

    async def _settled(self) -> None:
        while self._aligning is not None:
            await asyncio.wait([self._aligning])

    async def _align(self) -> None:
        """Subscribe to what is wanted. The client repeats it by itself after a loss."""
        client = self._connection.client
        try:
            while self._patterns.keys() != self._subscriptions.keys():
                for pattern in self._patterns.keys() - self._subscriptions.keys():
                    self._subscriptions[pattern] = await client.subscribe(
                        self._root + pattern_subject(pattern),
                        cb=partial(self._take, pattern),
                    )
                for pattern in self._subscriptions.keys() - self._patterns.keys():
                    await self._subscriptions.pop(pattern).unsubscribe()
        except Exception:
            log.exception("%s: cannot subscribe", self.name)
        finally:
            self._aligning = None

    async def _take(self, pattern: str, message: Msg) -> None:
        try:
            topic = subject_topic(message.subject[len(self._root) :])
        except UnicodeDecodeError:
            return  # no name that an engine gives
        if pattern.endswith("*") and not topic.startswith(pattern[:-1]):
            return
        headers = message.headers or {}
        carried = Message(topic, message.data, headers.get(TRACEPARENT), headers.get(BAGGAGE))
        self._arrived(pattern, carried)


def topic_subject(topic: str) -> str:
    """Dots stay, so that NATS' own wildcards work for other programs."""
    return ".".join(map(token, topic.split(".")))


def subject_topic(subject: str) -> str:
    return ".".join(map(text_of, subject.split(".")))


def pattern_subject(pattern: str) -> str:
    """The narrowest subject with all topics of a pattern; it may have others as well."""
    if not pattern.endswith("*"):
        return topic_subject(pattern)
    whole, dot, _ = pattern[:-1].rpartition(".")
    return f"{topic_subject(whole)}.>" if dot else ">"
