"""Signs of life of the engines that share a NATS."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from iii_engine.modules.queue.jetstream.notes import Notes

#: Seconds without a sign after which an engine has gone for good.
GONE_SECONDS: Final = 3600.0


class Signs:
    """Each engine gives one again and again. The server says when, so clocks need not agree.

    Methods raise `StoreError` and `ServerLost`.
    """

    def __init__(self, notes: Notes, engine: str, lease_s: float) -> None:
        """Each gives three within the time of a lease."""
        self.engine = engine
        self._notes = notes
        self._lease_s = lease_s

    async def give(self) -> None:
        await self._notes.sign(self.engine)

    async def alive(self, engines: list[str], patience: float) -> list[str]:
        """Those that gave a sign within so many seconds.

        Who seems to be silent is looked at twice: nobody could give one while the server was away.
        """
        silent = await self._silent(engines, patience)
        if silent:
            await asyncio.sleep(self._lease_s / 2)
            silent = await self._silent(silent, patience)
        return [engine for engine in engines if engine not in silent]

    async def known(self, engines: list[str]) -> list[str]:
        """Without those that have gone for good."""
        silent = await self._silent(engines, GONE_SECONDS)
        return [engine for engine in engines if engine not in silent]

    async def _silent(self, engines: list[str], patience: float) -> list[str]:
        if not engines:
            return []
        await self.give()
        now = await self._notes.signed_at(self.engine)
        signs = [(engine, await self._notes.signed_at(engine)) for engine in engines]
        return [engine for engine, at in signs if _before(at, now, patience)]


def _before(at: datetime | None, now: datetime | None, seconds: float) -> bool:
    if at is None or now is None:
        return at is None
    return now - at > timedelta(seconds=seconds)
