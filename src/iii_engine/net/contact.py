"""Whether a server can be used: what its last answer said, and the one that an idle engine asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from iii_engine.storage.base import StoreError

log = logging.getLogger("iii.servers")

#: Seconds between questions to a server. With the time that an answer may take its loss, and its
#: return, are known within ten seconds.
ASK_SECONDS: Final = 3.0


class Contact:
    """Asks a server now and then, by `ask`, which raises `StoreError` when it cannot be used."""

    def __init__(self, ask: Callable[[], Awaitable[object]]) -> None:
        self._ask = ask
        self._task: asyncio.Task[None] | None = None
        #: Why the server could not be used when it was asked last; None when it could.
        self.problem: str | None = None

    def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep_asking())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _keep_asking(self) -> None:
        while True:
            await asyncio.sleep(ASK_SECONDS)
            try:
                await self._ask()
                self.problem = None
            except StoreError as error:
                self.problem = str(error)
            except Exception as error:
                log.exception("a server could not be asked how it is")
                self.problem = str(error)
