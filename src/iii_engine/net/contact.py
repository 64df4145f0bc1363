"""Whether a server can be used: what its last answer said, and the one that an idle engine asks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from iii_engine.storage.base import ServerLost, StoreError
from iii_engine.tasks import end_tasks

log = logging.getLogger("iii.servers")

T = TypeVar("T")

#: Seconds between questions to a server. With the time that an answer may take its loss, and its
#: return, are known within ten seconds.
ASK_SECONDS: Final = 3.0


class Contact:
    """Asks a server now and then, by `ask`, which raises `StoreError` when it cannot be used."""

    def __init__(self, ask: Callable[[], Awaitable[object]]) -> None:
        self._ask = ask
        self._task: asyncio.Task[None] | None = None
        self._lost: str | None = None
        self._refused: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the server could not be used when it was asked last; None when it could.

        One that answers may still refuse what is asked now and then: it is full, for instance.
        """
        return self._lost or self._refused

    def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep_asking())

    async def close(self) -> None:
        if self._task is not None:
            await end_tasks([self._task])

    async def insist(self, ask: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Ask until there is an answer, at least once, and in growing distances.

        Raises `ServerLost` when there is none by `deadline`, in seconds of the event loop.
        """
        loop = asyncio.get_running_loop()
        number = 0
        while True:
            try:
                answer = await ask()
            except ServerLost as error:
                self._lost = str(error)
                if loop.time() >= deadline:
                    raise
                number += 1
                await pause(number, at_most=0.5)
            else:
                self._lost = None
                return answer

    async def _keep_asking(self) -> None:
        while True:
            await asyncio.sleep(ASK_SECONDS)
            try:
                await self._ask()
                self._lost = self._refused = None
            except ServerLost as error:
                self._lost = str(error)
            except StoreError as error:
                self._lost, self._refused = None, str(error)
            except Exception as error:
                log.exception("a server could not be asked how it is")
                self._refused = str(error)


async def pause(number: int, at_most: float) -> None:
    """Before trying again: longer each time, and by chance. In seconds."""
    await asyncio.sleep(min(at_most, 0.001 * 2 ** min(number, 10)) * random.random())
