"""A broker under test, and what every one of them is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Raw, json

from iii_engine.core.engine import Engine
from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.broker import Broker
from iii_engine.modules.queue.job import Draft, Lease, QueueName, Stats
from iii_engine.modules.queue.settings import Settings
from iii_sdk.protocol import JobOptions

T = TypeVar("T")

ORDERED = Settings(limits=Limits(1, ordered=True))


class BrokerBench:
    """A broker with awaitable answers. `woken` is set whenever there may be something to take."""

    def __init__(self, broker: Broker, engine: Engine) -> None:
        self.broker = broker
        self.engine = engine
        self.woken = asyncio.Event()

    async def ask(self, method: Callable[..., None], *arguments: Any) -> Any:
        """What a method of the broker answers; raises its error."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)

        method(*arguments, done)
        return await asyncio.wait_for(answer, 10)

    def attach(self, queue: QueueName, settings: Settings | None = None) -> None:
        self.broker.attach(queue, settings or Settings(), self.woken.set)

    async def enqueue(
        self, queue: QueueName, data: object = None, *, key: str = "", **options: Any
    ) -> str:
        draft = Draft(
            data=Raw(json.encode(data)),
            options=JobOptions(**options),
            function_id="work",
            group_id=key,
        )
        receipt = await self.ask(self.broker.enqueue, queue.name, draft)
        return str(receipt.message_id)

    async def publish(self, topic: str, data: object = None) -> str:
        draft = Draft(data=Raw(json.encode(data)), options=JobOptions())
        receipt = await self.ask(self.broker.publish, topic, draft)
        return str(receipt.message_id)

    async def take(self, queue: QueueName, count: int, *, limit: int = 100) -> list[Lease]:
        """So many leases, as soon as they are there."""
        leases: list[Lease] = []
        async with asyncio.timeout(10):
            while len(leases) < count:
                self.woken.clear()
                leases += await self.take_now(queue, limit=min(limit, count - len(leases)))
                if len(leases) < count:
                    await self.woken.wait()
        return leases

    async def take_now(self, queue: QueueName, *, limit: int = 100) -> list[Lease]:
        """What can be taken at this moment."""
        taken: asyncio.Future[list[Lease]] = asyncio.get_running_loop().create_future()
        self.broker.take(queue, limit, taken.set_result)
        return await asyncio.wait_for(taken, 10)

    async def stats(self, queue: QueueName) -> Stats:
        found: Stats = await self.ask(self.broker.stats, queue)
        return found


def payloads(leases: list[Lease]) -> list[Any]:
    return [json.decode(lease.job.data) for lease in leases]
