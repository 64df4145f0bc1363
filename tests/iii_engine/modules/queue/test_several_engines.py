"""What every adapter does for several engines on one server, and what it has no means for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from tests.support.queue_engine import KINDS, holds, knows, lose, running, shared
from tests.support.raw_worker import RawWorker
from tests.support.servers import RedisServer, Server
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.modules.queue import QueueModule, away
from iii_sdk.errors import BusError


async def test_a_topic_reaches_the_functions_of_all_engines(server: Server) -> None:
    async with shared(server, 2) as (one, two), RawWorker(two.url) as worker:
        await one.ask("iii::durable::publish", {"topic": "t", "data": "early"})
        await one.ask("iii::durable::publish", {"topic": "t", "data": "too", "delay_ms": 100})
        await worker.register("x")
        await worker.register_trigger("durable:subscriber", "x", {"topic": "t"})
        assert await worker.hears("x", 2) == {"early", "too"}
        await until(lambda: knows(two, "t"))
        await one.ask("iii::durable::publish", {"topic": "t", "data": "later"})
        call = await worker.invoked("x")
        assert call["data"] == "later"
        await worker.answer(call)
        await until(lambda: holds(two, "t", (0, 0)))


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("nats", "key_concurrency"),
        ("nats", "key_rate_limit"),
        ("rabbitmq", "key_concurrency"),
        ("rabbitmq", "key_rate_limit"),
        ("redis", "key_rate_limit"),
    ],
)
def test_limits_of_groups_that_a_server_has_no_means_for_are_refused(
    kind: str, option: str
) -> None:
    config = {"adapter": {"name": kind}, "queue_configs": {"q": {option: 1}}}
    refusal = rf"\$.queue_configs.q.{option}: not possible with the adapter '{kind}'"
    with pytest.raises(BusError, match=refusal):
        QueueModule.check(msgspec.convert(config, QueueModule.Options))


async def test_limits_of_keys_are_refused(server: Server) -> None:
    limit = "keyRateLimit" if isinstance(server, RedisServer) else "keyConcurrency"
    async with shared(server) as (engine,):
        refused = engine.bind("t", "work", {limit: 1})
        assert refused is not None
        assert refused.code == "unsupported_by_adapter"
        assert f"not possible with the adapter '{KINDS[type(server)]}'" in refused.message


@pytest.mark.promise(
    "Queues",
    "Engines that share a server of queues need not have the same workers: a job runs where its "
    "function is.",
)
async def test_jobs_run_although_only_one_engine_has_their_function(server: Server) -> None:
    queues = {"q": {"max_retries": 2, "backoff_ms": 20}}
    async with shared(server, 2, **queues) as (one, two):
        heard = two.function("work", "once")
        for n in range(40):
            await one.enqueue("q", "work", n)
        # NATS gives a job to the engine that has asked first, and each asks anew every 5 s.
        await until(lambda: set(heard) == set(range(40)))
        await until(lambda: holds(one, "q", (0, 0)))


async def test_jobs_in_order_run_where_their_function_is(server: Server) -> None:
    fifo = {"type": "fifo", "message_group_field": "g", "backoff_ms": 20}
    async with shared(server, 2, q=fifo) as (one, two):
        heard = two.function("work")
        for n in range(3):
            await one.enqueue("q", "work", {"g": "a", "n": n})
        await until(lambda: len(heard) == 3)
        assert [data["n"] for data in heard] == [0, 1, 2]
        await until(lambda: holds(one, "q", (0, 0)))


async def test_a_job_whose_function_no_engine_has_dies(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(away, "LOOKS", 3)
    async with shared(server, 2, q={"max_retries": 2, "backoff_ms": 20}) as (one, two):
        await one.enqueue("q", "nobody", 1)
        await until(lambda: holds(two, "q", (0, 1)))
        (dead,) = await two.dead("q")
        assert dead["error"].startswith("function_not_found")
        assert dead["retries"] == 2
        heard = two.function("nobody")
        await one.ask("iii::queue::redrive", {"queue": "q"})
        await until(lambda: heard == [1])


@pytest.mark.promise(
    "Queues",
    "The jobs of an engine that is gone run on another one that shares its server of queues.",
)
async def test_jobs_of_an_engine_that_is_gone_run_on_another(server: Server) -> None:
    async with shared(server, 2) as (one, two):
        for engine in (one, two):
            engine.core.add_function("work", lambda call: None, module="test")  # never answers
        await one.enqueue("default", "work", "x")
        await until(lambda: running(one) + running(two) == 1)
        dead, alive = (one, two) if running(one) else (two, one)
        alive.core.remove_function("work")
        heard = alive.function("work")
        lose(dead)
        await until(lambda: heard == ["x"])
        await until(lambda: holds(alive, "default", (0, 0)))


@pytest.mark.promise(
    "Queues",
    "Engines that keep their queues on one server work on them together: jobs of a group run one "
    "after another, whichever engine they run on.",
)
async def test_jobs_of_a_group_run_in_order_and_other_groups_go_on(server: Server) -> None:
    queues = {"q": {"type": "fifo", "message_group_field": "group", "backoff_ms": 300}}
    async with shared(server, 2, **queues) as engines:
        heard: list[Any] = []
        busy: set[str] = set()

        async def work(call: Call) -> None:
            data = json.loads(bytes(call.data))
            assert data["group"] not in busy
            busy.add(data["group"])
            heard.append(data)
            await asyncio.sleep(0.002)
            busy.remove(data["group"])
            if data == {"group": "a", "n": 3} and heard.count(data) == 1:
                call.fail("broken", "once")
            else:
                call.reply()

        tasks: list[asyncio.Task[None]] = []
        for engine in engines:
            engine.core.add_function(
                "work", lambda call: tasks.append(asyncio.create_task(work(call))), module="test"
            )
        for n in range(8):
            for group in "ab":
                await engines[n % 2].enqueue("q", "work", {"group": group, "n": n})
        await until(lambda: len(heard) >= 17)
        await until(lambda: holds(engines[0], "q", (0, 0)))
        await asyncio.gather(*tasks)
        order = {g: [job["n"] for job in heard if job["group"] == g] for g in "ab"}
        assert order == {"a": [0, 1, 2, 3, 3, 4, 5, 6, 7], "b": list(range(8))}
        assert heard.index({"group": "b", "n": 7}) < heard.index({"group": "a", "n": 4})
