"""Queues in a real Redis, on which several engines work."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
import redis
from redis.asyncio.client import PubSub
from tests.support.engine import EngineProcess
from tests.support.queue_engine import LEASE_MS, Shared, holds, knows, lose, running, shared
from tests.support.raw_worker import RawWorker
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.modules.queue import QueueModule
from iii_engine.modules.queue.redis.bindings import Bindings
from iii_engine.modules.queue.redis.broker import RedisBroker
from iii_engine.net.redis_broadcast import RedisBroadcast
from iii_sdk import Worker, connect


def broker_of(engine: Shared) -> RedisBroker:
    broker = engine.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
    assert isinstance(broker, RedisBroker)
    return broker


def never_answers(engine: Shared, function_id: str = "work") -> list[Call]:
    calls: list[Call] = []
    engine.core.add_function(function_id, calls.append, module="test")
    return calls


def keys(server: RedisServer) -> set[str]:
    with redis.Redis.from_url(server.url) as client:
        return {key.decode() for key in client.keys("iii:queue:*")}


async def test_the_keys_are_those_of_the_contract(redis_server: RedisServer) -> None:
    async with shared(redis_server, q={"max_retries": 1}) as (engine,):
        engine.function("fails", "no")
        await engine.enqueue("q", "fails", "dead")
        await until(lambda: holds(engine, "q", (0, 1)))
        never_answers(engine)
        await engine.enqueue("q", "work", "active")
        await until(lambda: running(engine) == 1)
        await engine.enqueue("q", "work", "delayed", delay_ms=60_000)
        await engine.ask("iii::durable::publish", {"topic": "a:b", "data": "waiting"})
        base = "iii:queue:__fn_queue::q"
        with redis.Redis.from_url(redis_server.url) as client:
            assert client.llen(f"{base}:active") == client.llen(f"{base}:dlq") == 1
            assert client.zcard(f"{base}:delayed") == 1
            assert client.hlen(f"{base}:jobs") == 3
            assert client.llen("iii:queue:a%3Ab:::waiting") == 1


async def test_a_job_takes_the_place_of_one_with_its_debounce_key(
    redis_server: RedisServer,
) -> None:
    async with shared(redis_server) as (engine,):
        heard = engine.function("work")
        first = await engine.enqueue("default", "work", 1, debounce_ms=300)
        assert await engine.enqueue("default", "work", 2, debounce_ms=300) == first
        await engine.enqueue("default", "work", 3, debounce_ms=50, debounce_key="other")
        await until(lambda: len(heard) == 2)
        assert heard == [3, 2]
        await until(lambda: holds(engine, "default", (0, 0)))


async def test_a_job_of_another_group_leaves_the_one_with_its_debounce_key(
    redis_server: RedisServer,
) -> None:
    queue = {"type": "fifo", "message_group_field": "g"}
    async with shared(redis_server, q=queue) as (engine,):
        calls = never_answers(engine)
        debounced = {"debounce_ms": 300, "debounce_key": "k"}
        first = await engine.enqueue("q", "work", {"g": "a", "n": 1}, **debounced)
        await engine.enqueue("q", "work", {"g": "b", "n": 2})
        assert await engine.enqueue("q", "work", {"g": "b", "n": 3}, **debounced) != first
        await until(lambda: len(calls) == 2)
        ran = [json.loads(bytes(call.data))["n"] for call in calls]
        assert sorted(ran) == [1, 2]  # 3 waits for 2
        calls[ran.index(2)].reply()
        await until(lambda: len(calls) == 3)
        for call in calls:
            call.reply()
        await until(lambda: holds(engine, "q", (0, 0)))


async def test_a_delayed_job_of_a_group_holds_up_those_behind_it(
    redis_server: RedisServer,
) -> None:
    queues = {"q": {"type": "fifo", "message_group_field": "group"}}
    async with shared(redis_server, **queues) as (engine,):
        heard = engine.function("work")
        await engine.enqueue("q", "work", {"group": "a", "n": 0}, delay_ms=300)
        await engine.enqueue("q", "work", {"group": "a", "n": 1})
        await engine.enqueue("q", "work", {"group": "b", "n": 2})
        await until(lambda: len(heard) == 3)
        ran = [job["n"] for job in heard]
        assert ran.index(0) < ran.index(1)


async def test_a_key_keeps_to_its_concurrency_on_all_engines(redis_server: RedisServer) -> None:
    async with shared(redis_server, 2, q={"key_concurrency": 2}) as (one, two):
        calls = [never_answers(one), never_answers(two)]
        for n in range(6):
            await one.enqueue("q", "work", n, key="k")
        await one.enqueue("q", "work", "other", key="j")
        await until(lambda: running(one) + running(two) == 3)
        assert (await one.stats("q"))[0] == 7
        done = 0
        while done < 7:
            await until(lambda: any(calls))
            assert running(one) + running(two) <= 3
            next(each for each in calls if each).pop(0).reply()
            done += 1
        await until(lambda: holds(one, "q", (0, 0)))


async def test_other_limits_free_what_waited_for_the_old_ones(redis_server: RedisServer) -> None:
    async with shared(redis_server, q={"key_concurrency": 1}) as (engine,):
        calls = never_answers(engine)
        for n in range(4):
            await engine.enqueue("q", "work", n, key="k")
        await until(lambda: running(engine) == 1)
        module = engine.app.modules["iii-queue"]
        broker = broker_of(engine)
        config = {"redis_url": redis_server.url, "lease_ms": LEASE_MS}
        adapter = {"name": "redis", "config": config}
        options = msgspec.convert(
            {"adapter": adapter, "queue_configs": {"q": {}}}, QueueModule.Options
        )
        assert await module.reconfigure(options)
        assert broker_of(engine) is broker
        await until(lambda: running(engine) == 4)
        for call in calls:
            call.reply()
        await until(lambda: holds(engine, "q", (0, 0)))
        assert keys(redis_server) == {"iii:queue:__fn_queue::q:token"}


async def test_a_subscription_ends_with_the_last_engine_that_has_it(
    redis_server: RedisServer,
) -> None:
    async with shared(redis_server, 2) as (one, two):
        heard = two.function("x")
        for engine in (one, two):
            assert engine.bind("t", "x", {}) is None
        await until(lambda: knows(one, "t"))
        assert one.core.triggers.remove("t1")
        await until(lambda: not broker_of(one)._bindings.held)
        await one.ask("iii::durable::publish", {"topic": "t", "data": 1})
        await until(lambda: heard == [1])
        assert broker_of(one).bindings() == broker_of(two).bindings() != []
        assert two.core.triggers.remove("t1")
        await until(lambda: not broker_of(two).bindings())
        await until(lambda: not broker_of(one).bindings())


async def test_what_ends_while_redis_is_away_is_stored_when_it_is_back(
    redis_server: RedisServer,
) -> None:
    async with shared(redis_server, q={"max_retries": 1}) as (engine,):
        calls = never_answers(engine)
        for n in range(2):
            await engine.enqueue("q", "work", n)
        await until(lambda: len(calls) == 2)
        await asyncio.to_thread(redis_server.kill)
        calls[0].reply()
        calls[1].fail("broken", "no")
        await asyncio.to_thread(redis_server.start)
        await until(lambda: holds(engine, "q", (0, 1)))
        assert len(calls) == 2


async def test_who_lost_the_lease_changes_nothing(redis_server: RedisServer) -> None:
    async with shared(redis_server, 2, q={"max_retries": 1}) as (one, two):
        late, early = never_answers(one), never_answers(two)
        await one.enqueue("q", "work", "x")
        await until(lambda: running(one) + running(two) == 1)
        dead, calls, others = (one, late, early) if running(one) else (two, early, late)
        lose(dead)
        await until(lambda: len(others) == 1)
        calls[0].fail("broken", "too late")
        await broker_settled(dead)
        assert await one.stats("q") == (1, 0)
        others[0].reply()
        await until(lambda: holds(one, "q", (0, 0)))


async def broker_settled(engine: Shared) -> None:
    """An answer to a question after all others."""
    await engine.stats("q")


async def test_an_engine_that_stops_gives_its_jobs_back_at_once(redis_server: RedisServer) -> None:
    async with shared(redis_server, 1) as (one,):
        calls = never_answers(one)
        await one.enqueue("default", "work", "x")
        await until(lambda: len(calls) == 1)
        broker = broker_of(one)
        lose(one)
        await broker.close()
        with redis.Redis.from_url(redis_server.url) as client:
            assert client.llen("iii:queue:__fn_queue::default:waiting") == 1
            assert client.llen("iii:queue:__fn_queue::default:active") == 0


async def test_a_record_that_is_no_job_is_removed(redis_server: RedisServer) -> None:
    async with shared(redis_server) as (engine,):
        heard = engine.function("work")
        with redis.Redis.from_url(redis_server.url) as client:
            client.hset("iii:queue:__fn_queue::default:jobs", "odd", "{")
            client.lpush("iii:queue:__fn_queue::default:waiting", "odd")
        await engine.enqueue("default", "work", 1)
        await until(lambda: heard == [1])
        await until(lambda: holds(engine, "default", (0, 0)))


async def test_scripts_that_redis_forgot_are_told_again(redis_server: RedisServer) -> None:
    async with shared(redis_server) as (engine,):
        heard = engine.function("work")
        with redis.Redis.from_url(redis_server.url) as client:
            client.script_flush()
        await engine.enqueue("default", "work", 1)
        await until(lambda: heard == [1])


async def test_many_dead_jobs_are_redriven_in_pieces(redis_server: RedisServer) -> None:
    async with shared(redis_server, q={"max_retries": 1, "concurrency": 100}) as (engine,):
        count = 1200
        heard = engine.function("work", *["no"] * count)
        await asyncio.gather(*(engine.enqueue("q", "work", n) for n in range(count)))
        await until(lambda: holds(engine, "q", (0, count)))
        answer = await engine.ask("iii::queue::redrive", {"queue": "q"})
        assert answer["redriven"] == count
        await until(lambda: holds(engine, "q", (0, 0)))
        assert len(heard) == 2 * count


@pytest.mark.promise(
    "Queues",
    "The jobs of an engine that is killed run on another one that keeps its queues in the same "
    "Redis.",
)
async def test_kill_9_of_an_engine_loses_none_of_its_jobs(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    adapter = {"name": "redis", "config": {"redis_url": redis_server.url, "lease_ms": 1000}}
    engines = []
    for name in "ab":
        (tmp_path / name).mkdir()
        modules = [
            {"name": "iii-worker-manager", "config": {"host": "127.0.0.1", "port": free_port()}},
            {"name": "iii-queue", "config": {"adapter": adapter}},
        ]
        engines.append(EngineProcess(tmp_path / name, json.dumps({"workers": modules})))
    a, b = engines
    done: set[int] = set()
    worker = Worker("worker-b")

    @worker.function("work")
    async def work(n: int) -> None:
        await asyncio.sleep(0.01)
        done.add(n)

    try:
        for engine in engines:
            await asyncio.to_thread(engine.start)
        async with RawWorker(a.url) as stuck, connect(b.url) as bus:
            await stuck.register("work")
            serving = asyncio.create_task(worker.serve(b.url))
            for n in range(100):
                await bus.enqueue("default", "work", n)
            lost = await stuck.invoked("work")  # it runs on the engine that is killed
            a.kill()
            await until(lambda: done == set(range(100)))
            assert lost["data"] in done
            await worker.stop()
            await serving
    finally:
        for engine in engines:
            await asyncio.to_thread(engine.close)


async def test_engines_hear_of_many_new_topics_without_reading_the_table_for_each(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    take = Bindings._take

    def count(bindings: Bindings, rows: list[bytes]) -> None:
        nonlocal read
        read += 1
        take(bindings, rows)

    async with shared(redis_server, 2) as (one, two):
        monkeypatch.setattr(Bindings, "_take", count)
        names = {f"t{n}" for n in range(200)}
        for name in names:
            await one.ask("iii::durable::publish", {"topic": name, "data": 1})
        two.function("f")
        assert two.bind("t7", "f", {}) is None
        await until(lambda: names <= {queue.name for queue in broker_of(two).topic_queues()})
        await until(lambda: [queue.function_id for queue in broker_of(one).bindings()] == ["f"])
        assert read <= len(names) / 4  # not for each; some by time, however slow the machine is
        with redis.Redis.from_url(redis_server.url) as client:
            client.hset("iii:queue:topics", '["foreign",""]', "0")
            for _ in range(100):
                client.publish("iii:queue:changed", "1")
        for engine in (one, two):
            await until(lambda engine=engine: knows_of(engine, "foreign"))  # type: ignore[misc]


async def test_a_topic_that_is_new_before_the_engine_hears_is_known_all_the_same(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, ask = asyncio.Event(), RedisBroadcast._ask

    async def late(broadcast: RedisBroadcast, subscription: PubSub) -> None:
        await gate.wait()
        await ask(broadcast, subscription)

    async with shared(redis_server, 1) as (one,):
        monkeypatch.setattr(RedisBroadcast, "_ask", late)
        async with shared(redis_server, 1) as (two,):
            await one.ask("iii::durable::publish", {"topic": "early", "data": 1})
            gate.set()
            await until(lambda: knows_of(two, "early"))


def knows_of(engine: Shared, topic: str) -> bool:
    return any(queue.name == topic for queue in broker_of(engine).topic_queues())


@pytest.mark.promise(
    "Queues",
    "On a Redis that engines share a pause holds for all of them, also for those that start later.",
)
async def test_a_pause_holds_for_all_engines(redis_server: RedisServer) -> None:
    async def paused(engine: Shared) -> bool:
        stats = await engine.ask("engine::queue::topic_stats", {"topic": "q", "details": True})
        found: bool = stats["paused"]
        return found

    async with shared(redis_server, 2, q={}) as (one, two):
        heard = one.function("work"), two.function("work")
        await one.ask("iii::queue::pause", {"queue": "q"})
        for n in range(4):
            await two.enqueue("q", "work", n)
        await until(lambda: paused(two))
        async with shared(redis_server, q={}) as (late,):
            later = late.function("work")
            await until(lambda: paused(late))
            assert (heard, later) == (([], []), [])
        assert await two.stats("q") == (4, 0)
        await two.ask("iii::queue::resume", {"queue": "q"})
        await until(lambda: len(heard[0]) + len(heard[1]) == 4)
        assert not await paused(two)
        await until(lambda: paused_nowhere(one, two))
        await until(lambda: holds(one, "q", (0, 0)))


def paused_nowhere(*engines: Shared) -> bool:
    return not any("q" in broker_of(engine).pauses for engine in engines)
