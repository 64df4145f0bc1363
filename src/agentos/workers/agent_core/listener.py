"""Telling the caller of a turn what happens, line by line on its channel."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from agentos.workers.agent_core.models import ChatResponse
from iii_sdk import Bus, BusError
from iii_sdk.channels import ChannelWriter
from iii_sdk.protocol import ChannelRef

log = logging.getLogger("agentos.agent_core")


class Listener:
    """Writes events as NDJSON; without a channel, or when nobody reads any more, it is silent.

    A caller that goes away does not end the turn: its answer is still wanted in the session.
    """

    def __init__(self, bus: Bus, ref: ChannelRef | None) -> None:
        self._bus = bus
        self._ref = ref
        self._writer: ChannelWriter | None = None

    @property
    def listening(self) -> bool:
        return self._ref is not None

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
            if self._writer is None:
                self._writer = await self._bus.open_writer(self._ref)
            await self._writer.send_text(msgspec.json.encode(event).decode() + "\n")
        except BusError as error:
            log.info("nobody listens to the turn any more: %s", error)
            self._ref = None

    async def close(self) -> None:
        """End the channel; harmless when it has ended."""
        writer, self._writer, self._ref = self._writer, None, None
        if writer is not None:
            await writer.close()
