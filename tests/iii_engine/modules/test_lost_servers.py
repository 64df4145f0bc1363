"""Servers of modules are killed: what was acknowledged is there, and health says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.adapters import adapter
from tests.support.engine import RunningEngine
from tests.support.queue_engine import adapter_of
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.servers import Server
from tests.support.waiting import until

#: For each module: how a record is written, and how it is read.
RECORDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "iii-state": ("state::set", "state::get", {"scope": "s"}),
    "iii-stream": ("stream::set", "stream::get", {"stream_name": "s", "group_id": "g"}),
    "iii-kv": ("kv::set", "kv::get", {"index": "i"}),
}


def named(module: str, n: int) -> dict[str, Any]:
    _, _, where = RECORDS[module]
    return {**where, "item_id" if module == "iii-stream" else "key": str(n)}


@pytest.mark.promise(
    "Adapters",
    "A Redis or NATS that is killed (`kill -9`) under writes has every record that was "
    "acknowledged when it is back, and meanwhile the health check says that it is lost.",
)
@pytest.mark.parametrize("kind", ["redis", "nats"])
@pytest.mark.parametrize("module", list(RECORDS))
async def test_kill_9_of_a_server_under_writes_loses_no_acknowledged_record(
    kind: str, module: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    options = {"adapter": adapter(kind, request)} | ({"port": 0} if module == "iii-stream" else {})
    engine = RunningEngine({module: options})
    await engine.start()
    write, read, _ = RECORDS[module]
    field = "data" if module == "iii-stream" else "value"
    acknowledged: list[int] = []
    refused: list[int] = []
    ending = False

    async def writing(first: int) -> None:
        for n in range(first, 1_000_000, 8):
            if ending:
                return
            try:
                await worker.call(write, {**named(module, n), field: n})
                acknowledged.append(n)
            except CallFailed:
                refused.append(n)

    async with RawWorker(engine.url) as worker:
        tasks = [asyncio.create_task(writing(first)) for first in range(8)]
        for _ in range(2):
            goal = len(acknowledged) + 100
            await until(lambda goal=goal: len(acknowledged) > goal)  # type: ignore[misc]
            await asyncio.to_thread(server.kill)
            await until(lambda: health(worker, "degraded"))
            await asyncio.to_thread(server.start)
            await until(lambda: health(worker, "healthy"))
        ending = True
        await asyncio.gather(*tasks)
        for n in acknowledged:
            assert await worker.call(read, named(module, n)) == n
    await engine.stop()


async def health(worker: RawWorker, wanted: str) -> bool:
    found = await worker.call("engine::health::check", {})
    return bool(found["status"] == wanted)


@pytest.mark.parametrize("kind", ["redis", "nats", "rabbitmq"])
async def test_a_lost_server_of_queues_is_no_health(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    engine = RunningEngine({"iii-queue": {"adapter": adapter_of(kind, server.url)}})
    await engine.start()
    async with RawWorker(engine.url) as worker:
        assert await health(worker, "healthy")
        await asyncio.to_thread(server.kill)
        await until(lambda: health(worker, "degraded"))
        await asyncio.to_thread(server.start)
        await until(lambda: health(worker, "healthy"))
    await engine.stop()


async def ill(worker: RawWorker) -> set[str]:
    """The modules that say they are not well."""
    found = await worker.call("engine::health::check", {})
    modules = found["components"]["modules"]["details"]
    return {name for name, status in modules.items() if status != "running"}


@pytest.mark.promise(
    "Adapters",
    "An idle engine notices within 10 s that the Redis or NATS of a module is lost or hangs, and "
    "within 10 s that it is back.",
)
@pytest.mark.parametrize("loss", ["kill", "pause"])
@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_an_idle_engine_notices_a_lost_server_and_its_return(
    kind: str, loss: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    option = {"adapter": adapter(kind, request)}
    modules = {"iii-state", "iii-stream", "iii-kv", "iii-pubsub", "iii-cron"}
    ports = {"iii-stream": {"port": 0}}
    engine = RunningEngine({name: option | ports.get(name, {}) for name in modules})
    await engine.start()
    try:
        async with RawWorker(engine.url) as worker:
            assert await ill(worker) == set()
            await asyncio.to_thread(getattr(server, loss))
            await until(lambda: says(worker, modules))
            await asyncio.to_thread(server.heal)
            await until(lambda: says(worker, set()))
    finally:
        await asyncio.to_thread(server.heal)
        await engine.stop()


async def says(worker: RawWorker, modules: set[str]) -> bool:
    return await ill(worker) == modules
