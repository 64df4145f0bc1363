"""RabbitMQ, or an engine on it, is killed while jobs move: what was acknowledged runs."""

from __future__ import annotations

import asyncio
import json
from itertools import count

import pytest
from tests.support.queue_engine import Shared, holds, shared
from tests.support.servers import RabbitServer
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_sdk.errors import BusError

PRODUCERS = 24
#: Kills of the server, each about five seconds of the test.
KILLS = 2


class Load:
    """Producers of jobs that are delayed a little, and fail at their first attempts.

    `acknowledged` are the numbers of those that the server has, `done` of those that ran well.
    """

    def __init__(self, engine: Shared) -> None:
        self.acknowledged: set[int] = set()
        self.done: set[int] = set()
        #: All attempts fail as long as it is set.
        self.failing = True
        self._engine = engine
        self._numbers = count()
        engine.core.add_function("work", self._work, module="test")

    def _work(self, call: Call) -> None:
        if self.failing:
            call.fail("broken", "not yet")
        else:
            self.done.add(json.loads(bytes(call.data)))
            call.reply()

    async def produce(self) -> None:
        """Until the server is lost."""
        for number in self._numbers:
            try:
                await self._engine.enqueue("q", "work", number, delay_ms=number % 8 * 10)
            except BusError:
                return
            self.acknowledged.add(number)


@pytest.mark.promise(
    "Queues",
    "Jobs that are delayed, or wait for their next attempt, in RabbitMQ: `kill -9` of the server "
    "loses none of them.",
)
async def test_kill_9_of_rabbitmq_loses_no_job_that_waits_for_its_time(
    rabbitmq_server: RabbitServer,
) -> None:
    queue = {"max_retries": 10_000, "backoff_ms": 20, "backoff_type": "fixed"}
    async with shared(rabbitmq_server, q=queue) as (engine,):
        load = Load(engine)
        for _ in range(KILLS):
            load.failing = True
            enough = len(load.acknowledged) + 1000
            producers = [asyncio.create_task(load.produce()) for _ in range(PRODUCERS)]
            await until(lambda: len(load.acknowledged) >= enough)  # noqa: B023
            await asyncio.to_thread(rabbitmq_server.kill)
            await asyncio.gather(*producers)
            load.failing = False
            await asyncio.to_thread(rabbitmq_server.start)
            await until(lambda: load.acknowledged <= load.done)
        await until(lambda: holds(engine, "q", (0, 0)))
