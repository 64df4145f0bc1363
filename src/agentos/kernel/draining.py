"""Ending a worker without cutting off what it is doing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from iii_sdk import Worker

DRAIN_SECONDS: Final = 10.0


class Drain:
    """Counts what is under way; `closing` says that nothing new should begin."""

    def __init__(self) -> None:
        self.running = 0
        self.closing = False
        self._idle = asyncio.Event()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Around one piece of work."""
        self.running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.running -= 1
            if not self.running:
                self._idle.set()

    async def close(self, seconds: float = DRAIN_SECONDS) -> None:
        """Let nothing new begin, and wait until the rest is over or the time is."""
        self.closing = True
        if self.running:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)


class DrainingWorker(Worker):
    """A worker that keeps answering, with refusals, while its running work comes to an end."""

    def __init__(
        self, name: str, *, description: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(name, description=description, headers=headers)
        self.drain = Drain()

    async def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Refuse, wait, then leave the bus; all of it within about `drain` seconds."""
        end = time.monotonic() + drain
        await self.drain.close(drain)
        await super().stop(max(end - time.monotonic(), 0.0))
