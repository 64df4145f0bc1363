"""Calls from one real engine to another, over a real NATS server."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx2
import pytest
from tests.iii_engine.modules.cluster.conftest import Joined
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.servers import NatsServer
from tests.support.waiting import until

from iii_sdk import Worker, connect


@pytest.mark.promise(
    "Several engines", "A function registered at one engine can be called through every other one."
)
async def test_a_function_of_one_engine_is_called_through_another(engines: list[Joined]) -> None:
    a, b, _ = engines
    async with RawWorker(b.url) as worker, RawWorker(a.url) as caller:
        await worker.register("x")
        await a.knows("x")
        answer = asyncio.ensure_future(caller.call("x", {"n": 1}))
        invocation = await worker.invoked("x")
        assert invocation["data"] == {"n": 1, "_caller_worker_id": caller.id}
        await worker.answer(invocation, {"ok": True})
        assert await answer == {"ok": True}
    await a.misses("x")


async def test_large_data_goes_both_ways(engines: list[Joined]) -> None:
    a, b, _ = engines
    text = "é" * 2_000_000
    async with RawWorker(b.url) as worker, RawWorker(a.url) as caller:
        await worker.register("x")
        await a.knows("x")
        answer = asyncio.ensure_future(caller.call("x", {"text": text}))
        invocation = await worker.invoked("x")
        assert invocation["data"]["text"] == text
        await worker.answer(invocation, text)
        assert await answer == text


async def test_engines_share_the_calls_and_the_own_one_comes_first(engines: list[Joined]) -> None:
    a, b, c = engines
    served: Counter[str] = Counter()
    workers = [Worker(f"w-{engine.name}") for engine in (b, c)]

    def serve(worker: Worker, name: str) -> None:
        @worker.function("x")
        async def x() -> str:
            served[name] += 1
            await asyncio.sleep(0)
            return name

    for worker, engine in zip(workers, (b, c), strict=True):
        serve(worker, engine.name)
    tasks = [
        asyncio.create_task(worker.serve(engine.url))
        for worker, engine in zip(workers, (b, c), strict=True)
    ]
    await until(lambda: len(providers(a, "x")) == 2)
    async with connect(a.url) as through_a, connect(b.url) as through_b:
        await asyncio.gather(*(through_a.call("x") for _ in range(200)))
        assert served == {"b": 100, "c": 100}
        assert {await through_b.call("x") for _ in range(10)} == {"b"}
    for worker in workers:
        await worker.stop()
    await asyncio.gather(*tasks)


def providers(engine: Joined, function_id: str) -> list[str]:
    function = engine.core.registry.get(function_id)
    return [] if function is None else [s.name for s in function.providers if s is not None]


async def test_a_route_of_one_engine_leads_to_a_worker_of_another(engines: list[Joined]) -> None:
    a, b, _ = engines
    async with RawWorker(b.url) as worker, RawWorker(a.url) as binder:
        await worker.register("x")
        await a.knows("x")
        await binder.register_trigger("http", "x", {"api_path": "/x", "http_method": "GET"})
        async with httpx2.AsyncClient(base_url=a.http_url) as client:
            request = asyncio.ensure_future(client.get("/x?q=1"))
            invocation = await worker.invoked("x")
            assert invocation["data"]["query_params"] == {"q": "1"}
            await worker.answer(invocation, {"status_code": 201, "body": {"from": "b"}})
            response = await request
        assert (response.status_code, response.json()) == (201, {"from": "b"})


async def test_the_engines_functions_tell_of_others(engines: list[Joined]) -> None:
    a, b, _ = engines
    async with RawWorker(b.url) as worker, RawWorker(a.url) as caller:
        await worker.register("mine::x", description="adds", request_format={"type": "object"})
        await a.knows("mine::x")
        found = await caller.call("engine::functions::list", {"prefix": "mine::"})
        (row,) = found["functions"]
        assert (row["worker_name"], row["description"]) == ("b", "adds")
        assert row["request_format"] == {"type": "object"}
        rows = (await caller.call("engine::workers::list", {}))["workers"]
        (engine_b,) = [row for row in rows if row["name"] == "b"]
        assert engine_b["runtime"] == "engine"
        assert engine_b["functions"] == ["mine::x"]
        status = await caller.call("engine::cluster::status", {})
        assert status["connected"]
        assert [(e["name"], e["function_count"]) for e in status["engines"]] == [("b", 1), ("c", 0)]


async def test_what_modules_offer_is_always_that_of_the_own_engine(engines: list[Joined]) -> None:
    a, b, _ = engines
    async with connect(a.url) as through_a, connect(b.url) as through_b:
        await through_a.state.set("s", "k", 1)
        assert await through_b.state.get("s", "k") is None


async def test_engines_of_another_cluster_are_strangers(
    engines: list[Joined], nats_server: NatsServer
) -> None:
    other = Joined("d", nats_server, cluster="other")
    await other.start()
    async with RawWorker(other.url) as worker, RawWorker(engines[0].url) as caller:
        await worker.register("x")
        with pytest.raises(CallFailed, match="function_not_found"):
            await caller.call("x")
    assert other.peers == set()
    await other.stop()
