"""An engine with its queues on a server is killed under load: what it acknowledged runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.support.engine import EngineProcess
from tests.support.queue_engine import KINDS, adapter_of
from tests.support.servers import Server, free_port
from tests.support.waiting import until

from iii_sdk import Bus, Worker, connect
from iii_sdk.errors import BusError

PRODUCERS = 16
ENOUGH = 200


@pytest.fixture
def engine(tmp_path: Path, server: Server) -> Iterator[EngineProcess]:
    options = {} if KINDS[type(server)] == "rabbitmq" else {"lease_ms": 1000}
    queue = {
        "adapter": adapter_of(KINDS[type(server)], server.url, **options),
        "queue_configs": {"q": {"max_retries": 5, "backoff_ms": 50, "concurrency": 20}},
    }
    modules = [
        {"name": "iii-worker-manager", "config": {"host": "127.0.0.1", "port": free_port()}},
        {"name": "iii-queue", "config": queue},
    ]
    engine = EngineProcess(tmp_path, json.dumps({"workers": modules}))
    engine.start()
    yield engine
    engine.close()


async def produce(bus: Bus, numbers: Iterator[int], acknowledged: set[int]) -> None:
    """Until the engine does not answer."""
    for number in numbers:
        try:
            await bus.enqueue("q", "work", number)
        except BusError:
            return
        acknowledged.add(number)


@pytest.mark.promise(
    "Queues",
    "`kill -9` of an engine whose queues are in RabbitMQ, Redis or NATS: every job that it had "
    "acknowledged runs.",
)
async def test_kill_9_of_an_engine_under_load_loses_no_acknowledged_job(
    engine: EngineProcess,
) -> None:
    acknowledged, done, failed = set[int](), set[int](), set[int]()
    worker, numbers = Worker("worker"), count()

    @worker.function("work")
    async def work(n: int) -> None:
        if n % 5 == 0 and n not in failed:
            failed.add(n)
            raise BusError("not yet", code="broken")
        await asyncio.sleep(0.005)
        done.add(n)

    serving = asyncio.create_task(worker.serve(engine.url))
    for goal in (ENOUGH, 2 * ENOUGH):
        async with connect(engine.url) as bus:
            producers = [
                asyncio.create_task(produce(bus, numbers, acknowledged)) for _ in range(PRODUCERS)
            ]
            await until(lambda goal=goal: len(acknowledged) >= goal)  # type: ignore[misc]
            await asyncio.to_thread(engine.kill)
            await asyncio.gather(*producers)
        await asyncio.to_thread(engine.start)
    await until(lambda: acknowledged <= done)
    await worker.stop()
    await serving
