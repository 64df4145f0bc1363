"""Queues in a real NATS server, on which several engines work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.servers import NatsServer
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.core.triggers import Trigger
from iii_engine.module_set import StartError
from iii_engine.modules.queue import QueueModule
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, EnqueueAction, ErrorBody


class Shared(RunningEngine):
    """An engine whose queues are in NATS."""

    def __init__(self, server: NatsServer, **queues: Any) -> None:
        config = {"nats_url": server.url, "lease_ms": 600, "backoff_ms": 50}
        super().__init__(
            {
                "iii-queue": {
                    "adapter": {"name": "nats", "config": config},
                    "queue_configs": queues,
                }
            }
        )

    def function(self, function_id: str, *failures: str) -> list[Any]:
        """Register one that remembers its payloads, and fails so many times first."""
        heard, left = [], list(failures)

        def handle(call: Call) -> None:
            heard.append(json.loads(bytes(call.data)))
            if left:
                call.fail("broken", left.pop(0))
            else:
                call.reply()

        self.core.add_function(function_id, handle, module="test")
        return heard

    def bind(self, topic: str, function_id: str, config: object) -> ErrorBody | None:
        """Subscribe it; why that is refused."""
        raw = Raw(json.dumps({"topic": topic, "queue_config": config}).encode())
        return self.core.triggers.add(
            Trigger("t1", "durable:subscriber", function_id, raw, NULL, None)
        )

    async def enqueue(self, queue: str, function_id: str, data: object, **options: Any) -> str:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        call = Call(self.core.router, function_id, json.dumps(data).encode())
        call.on_answer = lambda result, error: answer.set_result((result, error))
        self.core.router.accept(call)
        assert self.core.enqueue is not None
        self.core.enqueue(call, EnqueueAction(queue=queue, **options))
        result, error = await answer
        if error is not None:
            raise BusError(error.message, code=error.code)
        receipt: str = json.loads(bytes(result))["messageReceiptId"]
        return receipt

    async def ask(self, function_id: str, data: object = None) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.core.call(
            function_id,
            json.dumps(data).encode(),
            lambda result, error: answer.set_result((result, error)),
        )
        result, error = await answer
        if error is not None:
            raise BusError(error.message, code=error.code)
        return json.loads(bytes(result))

    async def stats(self, topic: str) -> tuple[int, int]:
        """Jobs that wait or run, and dead ones."""
        found = await self.ask("engine::queue::topic_stats", {"topic": topic})
        return found["depth"], found["dlq_depth"]


@asynccontextmanager
async def shared(server: NatsServer, count: int = 1, **queues: Any) -> AsyncIterator[list[Shared]]:
    engines = [Shared(server, **queues) for _ in range(count)]
    for engine in engines:
        await engine.start()
    try:
        yield engines
    finally:
        for engine in engines:
            await engine.stop()


async def test_a_job_runs_and_is_gone(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        heard = engine.function("work")
        receipt = await engine.enqueue("default", "work", {"n": 1})
        assert receipt
        await until(lambda: heard == [{"n": 1}])
        await until(lambda: _is(engine, "default", (0, 0)))


async def _is(engine: Shared, queue: str, stats: tuple[int, int]) -> bool:
    return await engine.stats(queue) == stats


async def test_a_job_that_fails_is_tried_again_and_dies_at_last(nats_server: NatsServer) -> None:
    queues = {"q": {"max_retries": 2, "backoff_ms": 50}}
    async with shared(nats_server, **queues) as (engine,):
        heard = engine.function("work", "one", "two", "three")
        receipt = await engine.enqueue("q", "work", 7)
        await until(lambda: _is(engine, "q", (0, 1)))
        assert heard == [7, 7]
        (dead,) = await engine.ask("engine::queue::dlq_messages", {"topic": "q"})
        assert dead["error"] == "broken: two"
        redriven = await engine.ask("iii::queue::redrive", {"queue": "q"})
        assert redriven["redriven"] == 1
        await until(lambda: len(heard) == 4)
        await until(lambda: _is(engine, "q", (0, 0)))
        assert receipt


async def test_dead_jobs_are_listed_newest_first_and_can_be_forgotten(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, q={"max_retries": 1}) as (engine,):
        engine.function("work", *"abc")
        for n in range(3):
            await engine.enqueue("q", "work", n, message_id=f"job-{n}")
            await until(lambda n=n: _is(engine, "q", (0, n + 1)))
        query = {"topic": "q", "offset": 1, "limit": 1}
        (second,) = await engine.ask("engine::queue::dlq_messages", query)
        assert second["payload"] == 1
        answer = await engine.ask(
            "iii::queue::discard_message", {"queue": "q", "message_id": "job-1"}
        )
        assert answer["redriven"] == 1
        assert await engine.stats("q") == (0, 2)
        found = await engine.ask("engine::queue::dlq_messages", {"topic": "q"})
        assert [dead["payload"] for dead in found] == [2, 0]


async def test_a_delayed_job_waits(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        heard = engine.function("work")
        await engine.enqueue("default", "work", "late", delay_ms=400)
        await engine.enqueue("default", "work", "now")
        await until(lambda: len(heard) == 2)
        assert heard == ["now", "late"]


async def test_the_same_job_is_stored_once(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        heard = engine.function("work")
        first = await engine.enqueue("default", "work", 1, idempotency_key="k")
        assert await engine.enqueue("default", "work", 2, idempotency_key="k") == first
        await until(lambda: _is(engine, "default", (0, 0)))
        assert heard == [1]


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


async def test_a_topic_reaches_the_functions_of_all_engines(nats_server: NatsServer) -> None:
    async with shared(nats_server, 2) as (one, two), RawWorker(two.url) as worker:
        await one.ask("iii::durable::publish", {"topic": "t", "data": "early"})
        await worker.register("x")
        await worker.register_trigger("durable:subscriber", "x", {"topic": "t"})
        call = await worker.invoked("x")
        assert call["data"] == "early"
        await worker.answer(call)
        await until(lambda: _knows(one, "t"))
        await one.ask("iii::durable::publish", {"topic": "t", "data": "later"})
        call = await worker.invoked("x")
        assert call["data"] == "later"
        await worker.answer(call)
        await until(lambda: _is(one, "t", (0, 0)))


async def _knows(engine: Shared, topic: str) -> bool:
    return any(t["name"] == topic for t in await engine.ask("engine::queue::list_topics"))


async def test_jobs_are_shared_and_none_is_lost_when_nats_restarts(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, 2) as (one, two):
        first, second = one.function("work"), two.function("work")
        for n in range(50):
            await one.enqueue("default", "work", n)
        await asyncio.to_thread(nats_server.kill)
        with pytest.raises(BusError, match="NATS"):
            await one.enqueue("default", "work", "lost")
        await asyncio.to_thread(nats_server.start)
        stored: list[int] = []
        while len(stored) < 50:
            try:
                await two.enqueue("default", "work", 50 + len(stored))
                stored.append(len(stored))
            except BusError:
                await asyncio.sleep(0.05)
        await until(lambda: set(range(100)) <= {*first, *second})
        await until(lambda: _is(one, "default", (0, 0)))


async def test_jobs_of_an_engine_that_is_gone_run_on_another(nats_server: NatsServer) -> None:
    async with shared(nats_server, 2) as (one, two):
        for engine in (one, two):
            engine.core.add_function("work", lambda call: None, module="test")  # never answers
        await one.enqueue("default", "work", "x")
        await until(lambda: _running(one) + _running(two) == 1)
        dead, alive = (one, two) if _running(one) else (two, one)
        alive.core.remove_function("work")
        heard = alive.function("work")
        # As if it were killed: nothing is renewed or answered any more.
        broker = dead.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
        broker._renewing.cancel()
        dead.app.modules["iii-queue"].queues.close()  # type: ignore[attr-defined]
        await until(lambda: heard == ["x"])
        await until(lambda: _is(alive, "default", (0, 0)))


def _running(engine: Shared) -> int:
    running: int = engine.app.modules["iii-queue"].queues.running()  # type: ignore[attr-defined]
    return running


async def test_a_topic_in_order_is_one_line(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        heard = engine.function("work", "once")
        config = {"type": "fifo", "backoffDelayMs": 50}
        assert engine.bind("t", "work", config) is None
        await until(lambda: _knows(engine, "t"))
        for n in range(6):
            await engine.ask("iii::durable::publish", {"topic": "t", "data": n, "key": str(n)})
        await until(lambda: len(heard) == 7)
        assert heard == [0, 0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("option", ["key_concurrency", "key_rate_limit"])
def test_limits_of_groups_are_refused(option: str) -> None:
    config = {"adapter": {"name": "nats"}, "queue_configs": {"q": {option: 1}}}
    with pytest.raises(BusError, match=rf"\$.queue_configs.q.{option}: not possible"):
        QueueModule.check(msgspec.convert(config, QueueModule.Options))


async def test_limits_of_keys_are_refused(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        refused = engine.bind("t", "work", {"keyConcurrency": 1})
        assert refused is not None
        assert refused.code == "unsupported_by_adapter"


async def test_without_nats_the_engine_does_not_start(nats_server: NatsServer) -> None:
    await asyncio.to_thread(nats_server.stop)
    with pytest.raises(StartError, match="NATS at"):
        await Shared(nats_server).start()


async def test_a_job_can_be_cancelled_while_it_waits(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        heard = engine.function("work")
        job = await engine.enqueue("default", "work", 1, delay_ms=60_000)
        query = {"queue": "default", "message_id": job}
        assert (await engine.ask("iii::queue::status", query))["state"] == "delayed"
        assert (await engine.ask("iii::queue::cancel", query))["cancelled"]
        assert not (await engine.ask("iii::queue::cancel", query))["cancelled"]
        assert heard == []


async def test_a_job_can_be_cancelled_while_it_runs(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        engine.core.add_function("work", lambda call: None, module="test")
        job = await engine.enqueue("default", "work", 1)
        await until(lambda: _running(engine) == 1)
        query = {"queue": "default", "message_id": job}
        answer = await engine.ask("iii::queue::cancel", query)
        assert (answer["cancelled"], answer["was"]) == (True, "active")
        await until(lambda: _is(engine, "default", (0, 0)))
