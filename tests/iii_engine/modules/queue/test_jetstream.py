"""Queues in a real NATS server, on which several engines work."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.queue_engine import holds, running, shared
from tests.support.servers import NatsServer
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_sdk.errors import BusError


@pytest.mark.parametrize("options", [{"priority": 1}, {"debounce_ms": 10}])
async def test_what_jetstream_cannot_do_is_refused(
    nats_server: NatsServer, options: dict[str, int]
) -> None:
    async with shared(nats_server) as (engine,):
        with pytest.raises(BusError, match="not possible with the adapter 'nats'"):
            await engine.enqueue("default", "work", 1, **options)


async def test_jobs_of_a_group_run_in_order_on_any_number_of_engines(
    nats_server: NatsServer,
) -> None:
    queues = {"q": {"type": "fifo", "message_group_field": "group", "backoff_ms": 20}}
    async with shared(nats_server, 2, **queues) as engines:
        heard: list[Any] = []
        for engine in engines:

            def handle(call: Call) -> None:
                data = json.loads(bytes(call.data))
                heard.append(data)
                if data["n"] == 3 and heard.count(data) == 1:
                    call.fail("broken", "once")
                else:
                    call.reply()

            engine.core.add_function("work", handle, module="test")
        for n in range(8):
            for group in "ab":
                await engines[n % 2].enqueue("q", "work", {"group": group, "n": n})
        await until(lambda: len(heard) >= 18)
        for group in "ab":
            order = [job["n"] for job in heard if job["group"] == group]
            assert order == [0, 1, 2, 3, 3, 4, 5, 6, 7]


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
        await until(lambda: loop.time() > lost + 1)  # longer than a lease
        await asyncio.to_thread(nats_server.start)
        await until(lambda: engine.status == "running")
        for call in list(under_way):  # some may have been delivered again meanwhile
            call.reply()
        engine.function("work")
        await engine.enqueue("default", "work", "later")
        await until(lambda: holds(engine, "default", (0, 0)))


async def test_jobs_of_an_engine_that_is_gone_run_on_another(nats_server: NatsServer) -> None:
    async with shared(nats_server, 2) as (one, two):
        for engine in (one, two):
            engine.core.add_function("work", lambda call: None, module="test")  # never answers
        await one.enqueue("default", "work", "x")
        await until(lambda: running(one) + running(two) == 1)
        dead, alive = (one, two) if running(one) else (two, one)
        alive.core.remove_function("work")
        heard = alive.function("work")
        # As if it were killed: nothing is renewed or answered any more.
        broker = dead.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
        broker._renewing.cancel()
        dead.app.modules["iii-queue"].queues.close()  # type: ignore[attr-defined]
        await until(lambda: heard == ["x"])
        await until(lambda: holds(alive, "default", (0, 0)))
