"""Real engines and a real NATS server that go away and come back."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
from tests.iii_engine.modules.cluster.conftest import Joined
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.servers import NatsServer
from tests.support.waiting import until


@pytest.mark.promise(
    "Several engines",
    "While NATS is lost, an engine goes on with its own workers; calls to other engines fail with "
    "a clear error, and everything is as before when NATS is back.",
)
async def test_a_restart_of_nats_is_survived(
    engines: list[Joined], nats_server: NatsServer
) -> None:
    a, b, c = engines
    async with RawWorker(b.url) as worker, RawWorker(a.url) as caller, RawWorker(a.url) as near:
        await worker.register("x")
        await near.register("y")
        await a.knows("x", "y")
        under_way = asyncio.ensure_future(caller.call("x"))
        await worker.invoked("x")
        await asyncio.to_thread(nats_server.kill)
        with pytest.raises(CallFailed, match="invocation_stopped"):
            await under_way
        with pytest.raises(CallFailed, match=r"engine_unreachable: .* engine b"):
            await caller.call("x")
        local = asyncio.ensure_future(caller.call("y"))
        await near.answer(await near.invoked("y"), 1)
        assert await local == 1
        await asyncio.to_thread(nats_server.start)
        for engine in engines:
            await engine.sees(*({"a", "b", "c"} - {engine.name}))
        await a.knows("x")
        again = asyncio.ensure_future(caller.call("x"))
        await worker.answer(await worker.invoked("x"), 2)
        assert await again == 2
    for engine in engines:
        assert len([s for s in engine.core.sessions.values() if s.is_engine]) == 2
        assert not engine.core.router.pending or engine is c


async def test_an_engine_says_goodbye(engines: list[Joined]) -> None:
    a, b, _ = engines
    async with RawWorker(b.url) as worker, RawWorker(a.url) as caller:
        await worker.register("x")
        await a.knows("x")
        under_way = asyncio.ensure_future(caller.call("x"))
        await worker.invoked("x")
        await b.stop()
        with pytest.raises(CallFailed, match="invocation_stopped"):
            await under_way
        await a.sees("c")
        with pytest.raises(CallFailed, match="function_not_found"):
            await caller.call("x")
    await b.start()
    await a.sees("b", "c")


async def test_an_engine_starts_without_nats_and_joins_later(nats_server: NatsServer) -> None:
    await asyncio.to_thread(nats_server.stop)
    alone, other = Joined("a", nats_server), Joined("b", nats_server)
    await asyncio.gather(alone.start(), other.start())
    assert not alone.module.cluster.connected
    await asyncio.to_thread(nats_server.start)
    await alone.sees("b")
    await other.sees("a")
    await alone.stop()
    await other.stop()


async def test_a_route_whose_engine_is_out_of_reach_is_unavailable(
    engines: list[Joined], nats_server: NatsServer
) -> None:
    a, b, _ = engines
    async with RawWorker(b.url) as worker, RawWorker(a.url) as binder:
        await worker.register("x")
        await a.knows("x")
        await binder.register_trigger("http", "x", {"api_path": "/x", "http_method": "GET"})
        await asyncio.to_thread(nats_server.kill)
        await until(lambda: not a.module.cluster.connected)
        async with httpx2.AsyncClient(base_url=a.http_url) as client:
            response = await client.get("/x")
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_a_nats_that_hangs_stops_the_calls(
    engines: list[Joined], nats_server: NatsServer
) -> None:
    a, b, _ = engines
    async with RawWorker(b.url) as worker, RawWorker(a.url) as caller:
        await worker.register("x")
        await a.knows("x")
        nats_server.pause()
        with pytest.raises(CallFailed, match="invocation_stopped"):
            await caller.call("x")
        with pytest.raises(CallFailed, match=r"engine_unreachable: .* engine b"):
            await caller.call("x")
        assert "cannot be reached" in a.module.status()
        nats_server.resume()
        await a.sees("b", "c")
        await b.sees("a", "c")
        await a.knows("x")
        answer = asyncio.ensure_future(caller.call("x"))
        while True:
            invocation = await worker.invoked("x")
            await worker.answer(invocation, 1)
            if answer.done() or await _soon(answer):
                break
        assert await answer == 1
    await until(lambda: not a.core.router.pending)


async def _soon(answer: asyncio.Future[object]) -> bool:
    done, _ = await asyncio.wait({answer}, timeout=1)
    return bool(done)
