"""Subscriptions that end: at one of several engines, at all, and while jobs wait or run."""

from __future__ import annotations

import asyncio
import json
from typing import Final

import pytest
from tests.support import queue_engine
from tests.support.queue_engine import Shared, has_dead, holds, knows, lose, running, shared
from tests.support.raw_worker import RawWorker
from tests.support.servers import RabbitServer, Server
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.modules.queue.rabbitmq import connection

REMOVED: Final = "subscription removed"
#: Here no job is lent: the lease says when an engine counts as gone.
LEASE_MS: Final = 600


async def publish(engine: Shared, topic: str, *payloads: object) -> None:
    for payload in payloads:
        await engine.ask("iii::durable::publish", {"topic": topic, "data": payload})


async def bind_paused(engine: Shared, topic: str, function_id: str) -> None:
    """Bind it where it gets nothing yet."""
    assert engine.bind(topic, function_id, {}, trigger_id=topic) is None
    await until(lambda: knows(engine, topic))
    await engine.ask("iii::queue::pause", {"queue": topic})


async def end_here(engine: Shared, topic: str) -> None:
    """End its only trigger, and wait until the server must have heard of that."""
    mark = f"{topic} is over"
    engine.function(mark)
    await bind_paused(engine, mark, mark)
    await publish(engine, mark, *range(6))
    engine.core.triggers.remove(topic)
    engine.core.triggers.remove(mark)
    await until(lambda: has_dead(engine, mark, 6), f"{mark} has ended")


async def test_what_another_engine_wants_is_neither_buried_nor_dropped(server: Server) -> None:
    async with shared(server, 2) as (one, two):
        for engine in (one, two):
            engine.function("f")
            await bind_paused(engine, "t", "f")
        heard = two.function("f")
        await publish(one, "t", 0, 1, 2)
        await end_here(one, "t")
        await publish(one, "t", 3)
        assert await two.dead("t") == []
        await two.ask("iii::queue::resume", {"queue": "t"})
        # NATS may give a job that was handed back to two that ask for it.
        await until(lambda: set(heard) == {0, 1, 2, 3})
        await until(lambda: holds(two, "t", (0, 0)))


async def test_what_another_engine_keeps_for_a_worker_that_is_away_is_not_buried(
    server: Server,
) -> None:
    async with shared(server, 2) as (one, two):
        one.function("f")
        await bind_paused(one, "t", "f")
        async with RawWorker(two.url) as worker:
            await worker.register("f")
            await worker.register_trigger("durable:subscriber", "f", {"topic": "t"})
            await until(lambda: knows(two, "t"))
        await until(lambda: "f" not in two.core.registry)
        await publish(one, "t", 0, 1)
        await end_here(one, "t")
        await publish(one, "t", 2)
        await two.ask("iii::queue::resume", {"queue": "t"})  # a Redis knows it for all
        async with RawWorker(two.url) as worker:
            await worker.register("f")
            await worker.register_trigger("durable:subscriber", "f", {"topic": "t"})
            heard = await worker.hears("f", 3)
            await until(lambda: holds(two, "t", (0, 0)))
        assert heard == {0, 1, 2}


@pytest.mark.promise(
    "Queues",
    "A subscription ends with the last engine that wants it: then what waits is dead, is listed, "
    "and can be redriven when somebody subscribes again.",
)
async def test_the_jobs_of_a_subscription_die_with_the_last_engine_that_wants_it(
    server: Server,
) -> None:
    async with shared(server, 2) as (one, two):
        for engine in (one, two):
            engine.function("f")
            await bind_paused(engine, "t", "f")
        await publish(one, "t", 0, 1, 2)
        one.core.triggers.remove("t")
        two.core.triggers.remove("t")
        # RabbitMQ lists no queues: it is the engines that had the subscription who know.
        for engine in (one, two):
            await until(lambda engine=engine: has_dead(engine, "t", 3))  # type: ignore[misc]
            assert {dead["error"] for dead in await engine.dead("t")} == {REMOVED}
            assert await dead_topics(engine) == {"t": 3}


async def dead_topics(engine: Shared) -> dict[str, int]:
    topics = await engine.ask("engine::queue::dlq_topics")
    return {each["topic"]: each["message_count"] for each in topics}


async def test_what_waited_for_a_removed_subscription_is_listed_and_runs_again(
    place: Server | str | None,
) -> None:
    async with shared(place) as (engine,):
        heard = engine.function("f")
        await bind_paused(engine, "t", "f")
        await publish(engine, "t", "a", "b")
        engine.core.triggers.remove("t")
        await until(lambda: has_dead(engine, "t", 2))
        assert await knows(engine, "t")
        assert await dead_topics(engine) == {"t": 2}
        assert {dead["error"] for dead in await engine.dead("t")} == {REMOVED}
        assert engine.bind("t", "f", {}, trigger_id="t") is None
        await engine.ask("iii::queue::resume", {"queue": "t"})
        await until(lambda: knows(engine, "t"))
        assert (await engine.ask("iii::queue::redrive", {"queue": "t"}))["redriven"] == 2
        await until(lambda: set(heard) == {"a", "b"})
        await until(lambda: holds(engine, "t", (0, 0)))


@pytest.mark.parametrize("kind", ["standard", "fifo"])
async def test_a_job_that_runs_when_its_subscription_is_removed_ends_well_or_is_dead(
    place: Server | str | None, kind: str
) -> None:
    async with shared(place) as (engine,):
        calls: list[Call] = []
        engine.core.add_function("f", calls.append, module="test")
        config = {"type": kind, "concurrency": 2, "backoffDelayMs": 20}
        for topic in ("good", "bad"):
            assert engine.bind(topic, "f", config, trigger_id=topic) is None
            await until(lambda topic=topic: knows(engine, topic))  # type: ignore[misc]
            await publish(engine, topic, topic)
        await until(lambda: len(calls) == 2)
        for topic in ("good", "bad"):
            await end_here(engine, topic)
        for call in calls:
            if json.loads(bytes(call.data)) == "good":
                call.reply()
            else:
                call.fail("broken", "no")
        await until(lambda: has_dead(engine, "bad", 1))
        await until(lambda: not running(engine))
        assert await engine.stats("bad") == (0, 1)
        assert await engine.stats("good") == (0, 0)


async def test_a_server_that_was_away_buries_nothing_that_another_engine_wants(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_engine, "LEASE_MS", LEASE_MS)
    monkeypatch.setattr(connection, "RECONNECT_SECONDS", (0.1, 0.2))
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 1.0)
    async with shared(server, 2) as (one, two):
        for engine in (one, two):
            engine.function("f")
            await bind_paused(engine, "t", "f")
        heard = two.function("f")
        await publish(one, "t", 0, 1)
        await asyncio.to_thread(server.kill)
        for engine in (one, two):
            await until(lambda engine=engine: engine.status != "running")  # type: ignore[misc]
        one.core.triggers.remove("t")
        await asyncio.sleep(1.2 * LEASE_MS / 1000)  # nobody gives a sign meanwhile
        await asyncio.to_thread(server.start)
        for engine in (one, two):
            await until(lambda engine=engine: engine.status == "running")  # type: ignore[misc]
        one.function("g")
        await bind_paused(one, "u", "g")
        await publish(one, "u", 0)
        await end_here(one, "u")
        assert await two.dead("t") == []
        await two.ask("iii::queue::resume", {"queue": "t"})
        await until(lambda: set(heard) == {0, 1})


async def test_an_engine_that_is_gone_keeps_no_subscription(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_engine, "LEASE_MS", LEASE_MS)
    async with shared(server, 2) as (one, two):
        for engine in (one, two):
            engine.function("f")
            await bind_paused(engine, "t", "f")
        await publish(one, "t", 0, 1)
        lose(two)
        one.core.triggers.remove("t")  # in vain: the other engine gave a sign a moment ago

        async def ended() -> bool:
            assert one.bind("t", "f", {}, trigger_id="t") is None
            await asyncio.sleep(1.2 * LEASE_MS / 1000)
            one.core.triggers.remove("t")
            await asyncio.sleep(1.2 * LEASE_MS / 1000)
            return await has_dead(one, "t", 2)

        await until(ended)


async def test_a_subscription_ends_in_time_although_its_engine_never_comes_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(server, RabbitServer):
        return  # it tells nobody of an engine's subscriptions
    monkeypatch.setattr(queue_engine, "LEASE_MS", LEASE_MS)
    monkeypatch.setattr("iii_engine.modules.queue.subscribers.LOOK_SECONDS", 0.2)
    monkeypatch.setitem(queue_engine.CONFIG, "binding_ttl_seconds", 1)
    async with shared(server, 2) as (one, two):
        two.function("f")
        await bind_paused(two, "t", "f")
        await publish(one, "t", 0, 1)
        lose(two)
        await until(lambda: has_dead(one, "t", 2))
        assert {dead["error"] for dead in await one.dead("t")} == {"subscription expired"}
