"""Queues in a real NATS server, on which several engines work."""

from __future__ import annotations

import asyncio

from tests.support.queue_engine import LEASE_MS, holds, shared
from tests.support.servers import NatsServer
from tests.support.waiting import until

from iii_engine.core.router import Call


async def test_jobs_under_way_end_well_when_nats_was_away_for_longer_than_a_lease(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server) as (engine,):
        under_way: list[Call] = []
        engine.core.add_function("work", under_way.append, module="test")
        for n in range(4):
            await engine.enqueue("default", "work", n)
        await until(lambda: len(under_way) == 4)
        await asyncio.to_thread(nats_server.kill)
        await until(lambda: "is lost" in engine.status)
        lost, loop = asyncio.get_running_loop().time(), asyncio.get_running_loop()
        await until(lambda: loop.time() > lost + LEASE_MS / 1000)
        await asyncio.to_thread(nats_server.start)
        await until(lambda: engine.status == "running")
        for call in list(under_way):  # some may have been delivered again meanwhile
            call.reply()
        engine.function("work")
        await engine.enqueue("default", "work", "later")
        await until(lambda: holds(engine, "default", (0, 0)))
