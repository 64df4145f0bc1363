"""Telling the caller of a turn what happens, line by line on its channel."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from agentos.workers.agent_core.models import ChatResponse
from iii_sdk import Bus, BusError
from iii_sdk.channels import ChannelWriter
from iii_sdk.protocol import ChannelRef

log = logging.getLogger("agentos.agent_core")

T = TypeVar("T")


class Listener:
    """Writes events as NDJSON; without a channel, or when nobody reads any more, it is silent.

    A caller that goes away does not end the turn, but what the model says for it: nobody is to
    pay for text that nobody reads. What came until then is the answer, and stays in the session.
    """

    def __init__(self, bus: Bus, ref: ChannelRef | None) -> None:
        self._bus = bus
        self._ref = ref
        self._writer: ChannelWriter | None = None
        #: Somebody listened and went away.
        self.left = False

    @property
    def listening(self) -> bool:
        return self._ref is not None

    async def attend(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """The result of the work; None when the caller leaves meanwhile, which ends it."""
        try:
            writer = await self._open()
        except BusError as error:
            self._lose(error)
            return None
        try:
            async with writer.while_read():
                return await work()
        except BusError as error:
            if not writer.ended.is_set():
                raise
            self._lose(error)
            return None

    async def text(self, delta: str) -> None:
        """A piece of the answer."""
        await self.tell({"type": "text", "delta": delta})

    async def end(self, response: ChatResponse) -> None:
        """The whole answer; the last event."""
        await self.tell({"type": "end", **msgspec.to_builtins(response)})
        await self.close()

    async def error(self, code: str, message: str) -> None:
        """The turn failed; the last event."""
        await self.tell({"type": "error", "code": code, "message": message})
        await self.close()

    async def tell(self, event: Mapping[str, object]) -> None:
        """Any event."""
        if self._ref is None:
            return
        try:
            writer = await self._open()
            await writer.send_text(msgspec.json.encode(event).decode() + "\n")
        except BusError as error:
            self._lose(error)

    async def _open(self) -> ChannelWriter:
        if self._writer is None:
            assert self._ref is not None
            self._writer = await self._bus.open_writer(self._ref)
        return self._writer

    def _lose(self, error: BusError) -> None:
        log.info("nobody listens to the turn any more: %s", error)
        self._ref, self.left = None, True

    async def close(self) -> None:
        """End the channel; harmless when it has ended."""
        writer, self._writer, self._ref = self._writer, None, None
        if writer is not None:
            await writer.close()
