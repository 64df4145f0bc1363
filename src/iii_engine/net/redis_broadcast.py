"""Messages over Redis: a topic is a channel, the message the JSON text and nothing else."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from iii_engine.net.broadcast import Broadcast, Heard, Message
from iii_engine.net.contact import ASK_SECONDS
from iii_engine.net.redis_client import ANSWER_SECONDS, make_redis, open_redis, told
from iii_engine.net.server_url import masked
from iii_engine.storage.base import StoreError
from iii_engine.tasks import end_tasks

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

log = logging.getLogger("iii.broadcast")

#: The channels that engines have for themselves: of streams, of queues, of each connection.
RESERVED: Final = re.compile(r"stream::events$|iii:(?:queue|engine):")

#: Seconds between attempts to come back to a server.
RETRY_SECONDS: Final = 0.25
#: Seconds without a message after which the server has lost us.
SILENCE_SECONDS: Final = ASK_SECONDS + ANSWER_SECONDS


class RedisBroadcast(Broadcast):
    """See `Broadcast`. Traces do not travel along: there is no place for them in a message."""

    def __init__(self, url: str, heard: Heard) -> None:
        super().__init__(heard)
        self._url = url
        #: What the server has confirmed, by our patterns.
        self._confirmed: set[str] = set()
        self._changed = asyncio.Event()
        self._agreed = asyncio.Event()
        self._hearing: asyncio.Task[None] | None = None
        #: Something, perhaps: since the server was lost, or before the first subscription counted.
        self._missed = True

    @property
    def name(self) -> str:
        return f"Redis at {masked(self._url)}"

    def reserved(self, topic: str) -> bool:
        """A topic is a channel, and there is one set of channels for all that use the server."""
        return RESERVED.match(topic) is not None

    async def open(self) -> None:
        self._sender = await open_redis(self._url)
        self._receiver = make_redis(self._url, answer_seconds=None)
        self._hearing = asyncio.get_running_loop().create_task(self._receive())
        await super().open()

    async def close(self) -> None:
        await super().close()
        if self._hearing is not None:
            await end_tasks([self._hearing])
            await self._sender.aclose()
            await self._receiver.aclose()

    async def _greet(self) -> None:
        with told(self._url):
            await self._sender.ping()

    # -- sending ---------------------------------------------------------------------------------

    async def _send(self, messages: list[Message]) -> list[StoreError | None]:
        with told(self._url):
            pipeline = self._sender.pipeline(transaction=False)
            for message in messages:
                pipeline.publish(message.topic, message.data)
            answers = await pipeline.execute(raise_on_error=False)
        return [
            StoreError(f"{self.name}: {answer}") if isinstance(answer, Exception) else None
            for answer in answers
        ]

    # -- hearing ---------------------------------------------------------------------------------

    def _wanted_changed(self) -> None:
        self._changed.set()
        self._agreed.clear()

    async def _settled(self) -> None:
        if self._patterns.keys() - self._confirmed:
            await self._agreed.wait()

    async def _receive(self) -> None:
        """Hear, and come back when the server was lost; what is sent meanwhile is missed."""
        while True:
            subscription = self._receiver.pubsub()
            try:
                with told(self._url):
                    # A channel of its own, for there is no connection without a subscription.
                    await subscription.subscribe(f"iii:engine:{uuid.uuid4().hex}")
                    await self._hear(subscription)
            except Exception as error:
                if not isinstance(error, StoreError):
                    log.exception("%s: a message could not be taken", self.name)
                elif self._deaf is None:
                    log.warning("%s: subscriptions are interrupted", error)
                self._deaf = str(error)
                self._missed = True
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                self._confirmed.clear()
                self._agreed.clear()
                await subscription.aclose()  # type: ignore[no-untyped-call]

    async def _hear(self, subscription: PubSub) -> None:
        """Until the connection is lost, or nothing comes for too long: the server is asked."""
        self._changed.set()
        loop = asyncio.get_running_loop()
        asking = loop.create_task(self._ask(subscription))
        try:
            async with asyncio.timeout(SILENCE_SECONDS) as silence:
                while True:
                    message = await subscription.get_message(timeout=None)
                    silence.reschedule(loop.time() + SILENCE_SECONDS)
                    if message is not None:
                        self._take(message)
        finally:
            asking.cancel()

    async def _ask(self, subscription: PubSub) -> None:
        """Tell the server what is wanted whenever that changes, else ask for a sign of life."""
        asked: set[str] = set()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), ASK_SECONDS)
            changed = self._changed.is_set()
            self._changed.clear()
            wanted = set(self._patterns)
            try:
                with told(self._url):
                    if not changed:
                        await subscription.ping()
                    for pattern in wanted - asked:
                        if pattern.endswith("*"):
                            await subscription.psubscribe(glob(pattern))
                        else:
                            await subscription.subscribe(pattern)
                    for pattern in asked - wanted:
                        if pattern.endswith("*"):
                            await subscription.punsubscribe(glob(pattern))
                        else:
                            await subscription.unsubscribe(pattern)
            except StoreError as error:
                log.debug("%s", error)  # who hears notices it as well, and begins anew
                return
            asked = wanted

    def _take(self, message: dict[str, Any]) -> None:
        channel: str = (message["channel"] or b"").decode("utf-8", "replace")
        match message["type"]:
            case "message":
                self._arrived(channel, Message(channel, message["data"]))
            case "pmessage":
                pattern = unglobbed(message["pattern"].decode())
                self._arrived(pattern, Message(channel, message["data"]))
            case "subscribe":
                self._confirm(channel)
            case "psubscribe":
                self._confirm(unglobbed(channel))
            case "unsubscribe":
                self._confirmed.discard(channel)
            case "punsubscribe":
                self._confirmed.discard(unglobbed(channel))

    def _confirm(self, pattern: str) -> None:
        if self._deaf is not None:
            log.warning("%s is back", self.name)
            self._deaf = None
        self._confirmed.add(pattern)
        if not self._patterns.keys() - self._confirmed:
            self._agreed.set()
            if self._missed:
                self._missed = False
                self.returned()


def glob(pattern: str) -> str:
    """What PSUBSCRIBE takes for a pattern of ours, which has one `*`, at its end."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", pattern[:-1]) + "*"


def unglobbed(pattern: str) -> str:
    return re.sub(r"\\(.)", r"\1", pattern)
