"""Tasks that somebody must end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: Seconds between cancellations of a task that goes on: it may be saying goodbye to a server.
CANCEL_SECONDS: Final = 1.0


class Tasks:
    """What is under way for one owner."""

    def __init__(self) -> None:
        self._all: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._all.add(task)
        task.add_done_callback(self._all.discard)
        return task

    async def settle(self, seconds: float) -> None:
        """Wait for the ends of all, but no longer than that."""
        if self._all:
            await asyncio.wait(set(self._all), timeout=seconds)

    async def end(self) -> None:
        """Cancel them."""
        await end_tasks(self._all)


async def end_tasks(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel them until they end, and do not ask with what.

    One cancellation is not enough: client libraries turn it into errors of their own, and
    `asyncio.wait_for` of Python 3.11 forgets it when what it waits for fails in the same moment.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        ended, pending = await asyncio.wait(pending, timeout=CANCEL_SECONDS)
        for task in ended:
            if not task.cancelled():
                task.exception()
