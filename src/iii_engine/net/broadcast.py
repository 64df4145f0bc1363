"""Messages between engines by way of a server: at most once, to whoever listens at that moment."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Struct, structs

from iii_engine.core.foreign_json import foreign_json
from iii_engine.core.once import Once
from iii_engine.net.contact import Contact
from iii_engine.storage.base import ServerLost, StoreError
from iii_engine.storage.pump import Pump

log = logging.getLogger("iii.broadcast")

#: Seconds that a message waits for a server that is away before its sender is told.
PATIENCE: Final = 5.0


class Message(Struct, frozen=True):
    """JSON bytes on a topic, and the trace that they belong to where that can travel along."""

    topic: str
    data: bytes
    traceparent: str | None = None
    baggage: str | None = None


Sent: TypeAlias = Callable[[StoreError | None], None]
Heard: TypeAlias = Callable[[str, Message], None]


class _Sending:
    __slots__ = ("message", "sent")

    def __init__(self, message: Message, sent: Sent) -> None:
        self.message = message
        self.sent = sent


class Broadcast(ABC):
    """Calls `heard(pattern, message)` once for each pattern that is listened to and matches.

    A pattern is a topic, or the beginning of topics and a `*`. This engine hears its own messages
    like all others, by way of the server; a message that is published after `listen` is heard.
    """

    def __init__(self, heard: Heard, *, patience: float = PATIENCE) -> None:
        self._heard = heard
        self._patience = patience
        self._patterns: dict[str, None] = {}
        self._unreadable = Once(log)
        #: Called when all is heard again after a loss: what was sent meanwhile was missed.
        self.returned: Callable[[], None] = _nothing
        #: Why nothing is heard at the moment; None when all is.
        self._deaf: str | None = None
        self._contact = Contact(self._greet)
        self._outgoing: Pump[_Sending] = Pump(self._send_batch)

    @property
    @abstractmethod
    def name(self) -> str:
        """Which server, without a password."""

    @property
    def problem(self) -> str | None:
        """Why the server cannot be used; None when it can."""
        return self._deaf or self._contact.problem

    def reserved(self, topic: str) -> bool:
        """Whether engines tell each other something under just this name at the server."""
        return False

    async def open(self) -> None:
        """Raises `StoreError` that names the server."""
        self._contact.open()

    async def close(self) -> None:
        """Send what was published, or give it up in time; hear nothing more."""
        await self._contact.close()
        await self._outgoing.drained()

    def listen(self, pattern: str) -> None:
        """Hear these topics from now on."""
        self._patterns[pattern] = None
        self._wanted_changed()

    def unlisten(self, pattern: str) -> None:
        self._patterns.pop(pattern, None)
        self._wanted_changed()

    def publish(self, message: Message, sent: Sent) -> None:
        """`sent(None)` follows when the server has it, else `sent(error)`."""
        if not self._outgoing.put(_Sending(message, sent)):
            sent(StoreError(f"too much waits for {self.name}"))

    async def _send_batch(self, batch: list[_Sending]) -> int:
        async def send() -> list[StoreError | None]:
            try:
                async with asyncio.timeout(self._patience):
                    await self._settled()
                    return await self._send([sending.message for sending in batch])
            except TimeoutError:
                raise ServerLost(f"{self.name} does not answer") from None

        try:
            end = asyncio.get_running_loop().time() + self._patience
            refused = await self._contact.insist(send, end)
        except StoreError as error:
            refused = [error] * len(batch)
        for sending, problem in zip(batch, refused, strict=True):
            try:
                sending.sent(problem)
            except Exception:
                log.exception("%s: who published was not told", self.name)
        return len(batch)

    def _arrived(self, pattern: str, message: Message) -> None:
        """Tell of a message, whoever sent it. None ends the hearing of the others."""
        if pattern not in self._patterns:
            return
        try:
            data = bytes(foreign_json(message.data, again=True))
        except ValueError as error:
            text = "%s: what came on %.200s cannot be read, and nobody was told: %s"
            self._unreadable.warn(text, self.name, message.topic, error)
            return
        try:
            self._heard(pattern, structs.replace(message, data=data))
        except Exception:
            log.exception("%s: a message on %s was lost", self.name, message.topic)

    @abstractmethod
    async def _greet(self) -> None:
        """Ask something small. Raises `StoreError` when the server cannot be used."""

    @abstractmethod
    def _wanted_changed(self) -> None:
        """Begin to bring the subscriptions at the server in line with `_patterns`."""

    @abstractmethod
    async def _settled(self) -> None:
        """Wait until the server knows all subscriptions."""

    @abstractmethod
    async def _send(self, messages: list[Message]) -> list[StoreError | None]:
        """Why each was refused, if it was. Raises `ServerLost` when it may be tried again."""


def _nothing() -> None:
    pass
