"""Queues in a real RabbitMQ server, on which several engines work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractChannel
from tests.support.queue_engine import Shared, has_dead, holds, knows, running, shared
from tests.support.raw_worker import RawWorker
from tests.support.servers import RabbitServer
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.modules.queue import QueueModule
from iii_engine.modules.queue.rabbitmq import kept
from iii_engine.modules.queue.rabbitmq.names import LONGEST_EXCHANGE
from iii_engine.storage.base import ServerLost
from iii_sdk.errors import BusError


@asynccontextmanager
async def watching(server: RabbitServer) -> AsyncIterator[AbstractChannel]:
    """Another program's channel."""
    connection = await aio_pika.connect(server.url)
    try:
        yield await connection.channel()
    finally:
        await connection.close()


def prefix_of(engine: Shared) -> str:
    options = engine.app.modules["iii-queue"].options  # type: ignore[attr-defined]
    prefix: str = options.adapter.config["prefix"]
    return prefix


async def message_in(channel: AbstractChannel, queue: str) -> Any:
    """Its first message, once there is one."""
    found = await channel.get_queue(queue, ensure=False)
    return await until(lambda: found.get(fail=False, no_ack=True))


async def test_a_named_queue_is_what_other_programs_expect(rabbitmq_server: RabbitServer) -> None:
    async with shared(rabbitmq_server) as (engine,), watching(rabbitmq_server) as channel:
        await engine.ask("iii::queue::pause", {"queue": "default"})
        base = f"{prefix_of(engine)}.__fn_queue::default"
        other = await channel.declare_queue(exclusive=True)
        await other.bind(await channel.declare_exchange(base, "direct", durable=True), "default")
        receipt = await engine.enqueue("default", "work", {"n": 1})
        message = await message_in(channel, other.name)
        assert (message.body, message.message_id) == (b'{"n": 1}', receipt)
        assert (message.delivery_mode, message.content_type) == (2, "application/json")
        assert message.headers["function_id"] == "work"
        assert message.headers["x-attempt"] == 0
        assert message.headers["traceparent"].startswith("00-")
        for name in (base, f"{base}::dlq"):
            await channel.declare_exchange(name, "direct", durable=True)
        for name in (f"{base}.queue", f"{base}::dlq.queue"):
            await channel.declare_queue(name, durable=True)


async def test_a_topic_is_what_other_programs_expect(rabbitmq_server: RabbitServer) -> None:
    async with shared(rabbitmq_server) as (engine,), watching(rabbitmq_server) as channel:
        heard = engine.function("work", "bad", "worse")
        assert engine.bind("a.b", "work", {"maxRetries": 1}) is None
        await until(lambda: knows(engine, "a.b"))
        prefix = prefix_of(engine)
        exchange = await channel.declare_exchange(f"{prefix}.a.b.exchange", "fanout", durable=True)
        await exchange.publish(aio_pika.Message(b"[1]"), "")
        await until(lambda: has_dead(engine, "a.b", 1))
        await exchange.publish(aio_pika.Message(b"[1"), "")
        await until(lambda: has_dead(engine, "a.b", 2))
        assert heard == [[1]]
        broken, failed = await engine.dead("a.b")
        assert (broken["payload"], failed["error"]) == ("[1", "broken: bad")
        message = await message_in(channel, f"{prefix}.a.b.work.dlq")
        dead = json.loads(message.body)
        assert set(dead) == {"job", "error", "exhausted_at"}
        assert (dead["job"]["data"], dead["error"]) == ([1], "broken: bad")


async def test_an_ordered_queue_goes_to_another_engine(rabbitmq_server: RabbitServer) -> None:
    queues = {"q": {"type": "fifo", "message_group_field": "group"}}
    async with shared(rabbitmq_server, 2, **queues) as (one, two):
        for engine in (one, two):
            engine.core.add_function("work", lambda call: None, module="test")  # never answers
        for n in range(3):
            await one.enqueue("q", "work", {"group": "a", "n": n})
        await until(lambda: running(one) + running(two) == 1)
        dead, alive = (one, two) if running(one) else (two, one)
        alive.core.remove_function("work")
        heard = alive.function("work")
        # As if it were killed: its connection ends, and does not come back.
        await dead.app.modules["iii-queue"].broker._connection.close()  # type: ignore[attr-defined]
        await until(lambda: [job["n"] for job in heard] == [0, 1, 2])
        await until(lambda: holds(alive, "q", (0, 0)))


async def test_what_waits_for_a_removed_subscription_is_dead(
    rabbitmq_server: RabbitServer,
) -> None:
    async with shared(rabbitmq_server) as (engine,), RawWorker(engine.url) as worker:
        await worker.register("x")
        trigger = await worker.register_trigger("durable:subscriber", "x", {"topic": "t"})
        await until(lambda: knows(engine, "t"))
        await engine.ask("iii::queue::pause", {"queue": "t"})
        await engine.ask("iii::durable::publish", {"topic": "t", "data": 1})
        await worker.send("unregistertrigger", id=trigger, trigger_type="durable:subscriber")
        (dead,) = await until(lambda: engine.dead("t"))
        assert dead["error"] == "subscription removed"
        message = {"queue": "t", "message_id": dead["id"]}
        assert (await engine.ask("iii::queue::discard_message", message))["redriven"] == 1

        async def forgotten() -> bool:
            return not await knows(engine, "t")

        await until(forgotten)


async def test_dead_jobs_are_not_more_than_were_asked_for(rabbitmq_server: RabbitServer) -> None:
    queues = {"q": {"max_retries": 1, "dead_letter_max": 2}}
    async with shared(rabbitmq_server, **queues) as (engine,):
        engine.function("work", *"abcd")

        async def newest(payload: int) -> bool:
            dead = await engine.dead("q")
            return bool(dead) and dead[0]["payload"] == payload

        for n in range(4):
            await engine.enqueue("q", "work", n)
            await until(lambda n=n: newest(n))
        await until(lambda: holds(engine, "q", (0, 2)))
        assert [dead["payload"] for dead in await engine.dead("q")] == [3, 2]


async def test_a_job_is_buried_once_though_the_dead_cannot_be_counted(
    rabbitmq_server: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shared(rabbitmq_server, q={"max_retries": 1}) as (engine,):
        engine.function("work", "bad")
        assert await engine.dead("q") == []
        refused: list[str] = []

        @asynccontextmanager
        async def refuse() -> AsyncIterator[AbstractChannel]:
            refused.append("channel")
            raise ServerLost("no channel")
            yield

        with monkeypatch.context() as patch:
            broker = engine.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
            patch.setattr(broker._connection, "channel", refuse)
            await engine.enqueue("q", "work", 1)
            await until(lambda: refused)
        await until(lambda: holds(engine, "q", (0, 1)))


async def test_other_settings_count_while_jobs_run(rabbitmq_server: RabbitServer) -> None:
    async with shared(rabbitmq_server, q={"concurrency": 1}) as (engine,):
        calls: list[Call] = []
        engine.core.add_function("work", calls.append, module="test")
        for n in range(20):
            await engine.enqueue("q", "work", n)
        await until(lambda: len(calls) == 1)
        module = engine.app.modules["iii-queue"]
        for config in ({"concurrency": 15}, {"type": "fifo", "message_group_field": "g"}):
            raw = {"adapter": msgspec.to_builtins(module.options.adapter)}  # type: ignore[attr-defined]
            options = msgspec.convert(raw | {"queue_configs": {"q": config}}, QueueModule.Options)
            assert await module.reconfigure(options)
            if "concurrency" in config:
                await until(lambda: len(calls) == 15)
        for call in calls:
            call.reply()
        await until(lambda: len(calls) == 16)
        assert running(engine) == 1


async def test_a_queue_name_that_amqp_cannot_have_is_refused(
    rabbitmq_server: RabbitServer,
) -> None:
    async with shared(rabbitmq_server) as (engine,):
        with pytest.raises(BusError, match="too long"):
            await engine.ask("iii::durable::publish", {"topic": "t" * 250, "data": 1})
        refused = engine.bind("__fn_queue::q", "work", {})
        assert refused is not None
        assert refused.code == "bad_queue_name"


async def test_engines_that_look_at_dead_jobs_at_once_see_all(
    rabbitmq_server: RabbitServer,
) -> None:
    async with shared(rabbitmq_server, 2, q={"max_retries": 1}) as engines:
        one, two = engines
        for engine in engines:
            engine.core.add_function("work", lambda call: call.fail("broken", "no"), module="test")
        for n in range(20):
            await one.enqueue("q", "work", n)
        await until(lambda: has_dead(one, "q", 20))
        for engine in engines:
            engine.core.remove_function("work")
            engine.function("work")
        found = await asyncio.gather(*(engine.dead("q") for engine in engines for _ in range(3)))
        assert [len(dead) for dead in found] == [20] * 6
        redriven = await asyncio.gather(
            *(engine.ask("iii::queue::redrive", {"queue": "q"}) for engine in engines)
        )
        assert sum(each["redriven"] for each in redriven) == 20
        await until(lambda: holds(two, "q", (0, 0)))


async def test_who_looks_at_dead_jobs_for_ever_is_not_waited_for(
    rabbitmq_server: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shared(rabbitmq_server) as (engine,), watching(rabbitmq_server) as channel:
        base = f"{prefix_of(engine)}.__fn_queue::default"
        sign = await channel.declare_queue(f"{base}::dlq.queue.look", exclusive=True)
        with monkeypatch.context() as patch:
            patch.setattr(kept, "PATIENCE_SECONDS", 0.2)
            with pytest.raises(BusError, match="another engine looks at the dead jobs of default"):
                await engine.dead("default")
        await sign.delete()
        assert await engine.dead("default") == []


async def test_names_may_have_any_characters(rabbitmq_server: RabbitServer) -> None:
    odd = "é*?[]{}\t\n%=\0+2B$"
    async with shared(rabbitmq_server, **{odd: {}}) as (engine,):
        heard = engine.function("a.b c%é")
        assert engine.bind(odd, "a.b c%é", {}) is None
        await until(lambda: knows(engine, odd))
        await engine.ask("iii::durable::publish", {"topic": odd, "data": "topic"})
        await until(lambda: heard == ["topic"])
        await engine.enqueue(odd, "a.b c%é", "queue", delay_ms=20)
        await until(lambda: heard == ["topic", "queue"])
        longest = "t" * (LONGEST_EXCHANGE - len(f"{prefix_of(engine)}..exchange"))
        assert engine.bind(longest, "a.b c%é", {}, trigger_id="t2") is None
        await until(lambda: knows(engine, longest))
        await engine.ask("iii::durable::publish", {"topic": longest, "data": "longest"})
        await until(lambda: heard[2:] == ["longest"])


async def test_what_is_no_job_holds_up_nothing_that_waits_for_a_first_function(
    rabbitmq_server: RabbitServer,
) -> None:
    async with shared(rabbitmq_server) as (engine,), watching(rabbitmq_server) as channel:
        await engine.ask("iii::durable::publish", {"topic": "t", "data": 1})
        nobody = f"{prefix_of(engine)}.t..queue"
        await channel.default_exchange.publish(aio_pika.Message(b"no json"), nobody)
        await engine.ask("iii::durable::publish", {"topic": "t", "data": 2})
        heard = engine.function("work")
        assert engine.bind("t", "work", {}) is None
        await until(lambda: heard == [1, 2])
        (dead,) = await until(lambda: engine.dead("t"))
        assert dead["payload"] == "no json"
        assert dead["error"].startswith("unreadable_message")


async def test_a_paused_queue_keeps_no_job_from_other_engines(
    rabbitmq_server: RabbitServer,
) -> None:
    async with shared(rabbitmq_server, 2, q={"concurrency": 1}) as (one, two):
        calls: list[Call] = []
        one.core.add_function("work", calls.append, module="test")
        two.core.add_function("work", calls.append, module="test")
        for n in range(12):
            await one.enqueue("q", "work", n)
        await until(lambda: len(calls) == 2)
        await one.ask("iii::queue::pause", {"queue": "q"})
        two.core.remove_function("work")
        heard = two.function("work")
        for call in calls:
            call.reply()
        await until(lambda: len(heard) == 10)
        await one.ask("iii::queue::resume", {"queue": "q"})
        await two.ask("iii::queue::pause", {"queue": "q"})
        await one.enqueue("q", "work", 12)
        await until(lambda: len(calls) == 3)
        calls[2].reply()
