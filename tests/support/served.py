"""Workers served by a real engine, and stand-ins for the ones a test does not start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.engine import RunningEngine
from tests.support.waiting import PATIENCE

from iii_sdk import Bus, BusError, Worker, connect


@asynccontextmanager
async def served(engine: RunningEngine, *workers: Worker) -> AsyncIterator[Bus]:
    """Serve the workers until the block ends; gives the bus of a caller beside them."""
    tasks = [await _start(engine, worker) for worker in workers]
    try:
        async with connect(engine.url) as bus:
            yield bus
    finally:
        for worker in workers:
            await worker.stop(drain=1)
        await asyncio.gather(*tasks)


async def _start(engine: RunningEngine, worker: Worker) -> asyncio.Task[None]:
    ready = asyncio.Event()
    task = asyncio.create_task(worker.serve(engine.url, ready=ready))
    async with asyncio.timeout(PATIENCE):
        await ready.wait()
    return task


class StandIn:
    """A worker whose functions answer what the test says and remember what they were asked.

    `answers` maps a function id to a result, or to an error that is raised.
    """

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.calls: list[tuple[str, Any]] = []
        self.worker = Worker("stand-in")
        for function_id in answers:
            self.worker.function(function_id)(self._handler(function_id))

    def _handler(self, function_id: str) -> Any:
        async def answer(data: object) -> object:
            self.calls.append((function_id, data))
            result = self.answers[function_id]
            if isinstance(result, BusError):
                raise result
            return result(data) if callable(result) else result

        return answer

    def asked(self, function_id: str) -> list[Any]:
        """The payloads a function was called with."""
        return [data for name, data in self.calls if name == function_id]
