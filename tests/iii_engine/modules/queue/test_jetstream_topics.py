"""Who gets what is published, when several engines of one NATS know it from each other."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import nats
import pytest
from msgspec import Raw
from nats.js.errors import KeyNotFoundError
from tests.support.queue_engine import Shared, has_dead, holds, knows, shared
from tests.support.servers import NatsServer
from tests.support.waiting import until

from iii_engine.modules.queue.job import Job, QueueName
from iii_sdk.errors import BusError

BINDINGS = "KV_iii_queue_bindings"


async def publish(engine: Shared, topic: str, data: object) -> None:
    await engine.ask("iii::durable::publish", {"topic": topic, "data": data})


async def published(engine: Shared, topic: str, data: object) -> bool:
    try:
        await publish(engine, topic, data)
    except BusError:
        return False
    return True


async def forget_who_follows(server: NatsServer) -> None:
    """As a server does that was started anew."""
    client = await nats.connect(server.url)
    js = client.jetstream()
    for consumer in await js.consumers_info(BINDINGS):
        await js.delete_consumer(BINDINGS, consumer.name)
    await client.close()


@pytest.mark.promise(
    "Queues",
    "What is published while the first subscriber registers at another engine reaches it.",
)
async def test_what_is_published_while_somebody_subscribes_elsewhere_arrives(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, 2) as (one, two):
        heard: dict[str, list[Any]] = {}

        async def subscribe(topic: str, number: int) -> None:
            for _ in range(number % 8):
                await asyncio.sleep(0.0005)
            assert one.bind(topic, topic, {}, trigger_id=topic) is None

        async def race(number: int) -> None:
            topic = f"t{number}"
            heard[topic] = one.function(topic)
            await asyncio.gather(publish(two, topic, 0), subscribe(topic, number))
            await publish(two, topic, 1)

        for number in range(24):
            await race(number)
        await until(lambda: all(set(each) == {0, 1} for each in heard.values()), f"{heard}")
        for topic, each in heard.items():
            assert sorted(each) == [0, 1]
            await until(lambda topic=topic: holds(two, topic, (0, 0)))  # type: ignore[misc]
        await publish(two, "t0", 2)
        await until(lambda: heard["t0"][2:] == [2])
        # Nothing is kept for nobody beside that.
        client = await nats.connect(nats_server.url)
        streams = await client.jetstream().streams_info()
        await client.close()
        left = [s.config.description for s in streams if s.state.messages]
        assert set(left) == {None}  # buckets


async def test_a_new_subscriber_elsewhere_is_heard_of_after_nats_was_away(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, 2) as (one, two):
        await asyncio.to_thread(nats_server.kill)
        await until(lambda: "is lost" in two.status)
        await asyncio.to_thread(nats_server.start)
        heard = one.function("f")
        assert one.bind("t", "f", {}) is None
        await until(lambda: published(two, "t", 0))
        await until(lambda: knows(two, "t"))
        await publish(two, "t", 1)
        await until(lambda: sorted(heard) == [0, 1])
        await until(lambda: two.status == "running")


async def test_subscribers_are_read_anew_when_nats_tells_no_changes(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with shared(nats_server, 2) as (one, two):
        first, second, other = (one.function(name) for name in ("first", "second", "other"))
        assert one.bind("t", "first", {}, trigger_id="t1") is None
        await until(lambda: bound(two, "t", "first"))
        await forget_who_follows(nats_server)
        assert one.bind("t", "second", {}, trigger_id="t2") is None
        assert one.bind("u", "other", {}, trigger_id="t3") is None
        await until(lambda: bound(one, "u", "other"))
        await publish(two, "u", 0)  # nobody is known: the server is asked
        await until(lambda: other == [0])
        await until(lambda: bound(two, "t", "second"))
        await publish(two, "t", 1)
        await until(lambda: (first, second) == ([1], [1]))
        assert "tells no changes any more" in caplog.text


async def test_keys_of_other_programs_stop_nobody_from_hearing(nats_server: NatsServer) -> None:
    async with shared(nats_server, 2) as (one, two):
        client = await nats.connect(nats_server.url)
        bucket = await client.jetstream().key_value("iii_queue_bindings")
        for key in ("hello", "=FF.=FF", "t.=41"):
            await bucket.put(key, b"hello")
        await client.close()
        heard = one.function("f")
        assert one.bind("t", "f", {}) is None
        await until(lambda: bound(two, "t", "f"))
        await publish(two, "t", 0)
        await until(lambda: heard == [0])
        topics = await two.ask("engine::queue::list_topics")
        assert {each["name"] for each in topics} == {"default", "t"}


async def test_a_subscription_that_ends_while_nats_is_away_does_not_come_back(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server, 2) as (one, two):
        one.function("f")
        await asyncio.to_thread(nats_server.kill)
        await until(lambda: "is lost" in one.status)
        assert one.bind("t", "f", {}, trigger_id="t1") is None
        one.core.triggers.remove("t1")
        await asyncio.to_thread(nats_server.start)
        one.function("g")
        await until(lambda: one.status == "running")
        assert one.bind("t", "g", {}, trigger_id="t2") is None
        await until(lambda: bound(two, "t", "g"))
        assert not bound(two, "t", "f")


async def test_what_is_stored_by_who_has_not_heard_of_the_end_is_dead_too(
    nats_server: NatsServer,
) -> None:
    async with shared(nats_server) as (engine,):
        engine.function("f")
        for topic in ("late", "empty"):
            assert engine.bind(topic, "f", {}, trigger_id=topic) is None
            await until(lambda topic=topic: bound(engine, topic, "f"))  # type: ignore[misc]
            engine.core.triggers.remove(topic)

            async def ended(topic: str = topic) -> bool:
                return await rows(nats_server, topic) == [[]]

            await until(ended)
        broker = engine.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
        queue = broker.queue(QueueName("late", True, "f"))
        await queue.put(Job(id="x", created_at=0, data=Raw(b"1")), 0)
        await until(lambda: has_dead(engine, "late", 1))
        # Of what has no jobs nothing is kept.
        await until(lambda: rows_are(nats_server, "empty", []))
        assert await rows(nats_server, "late") == [[]]


async def test_engines_that_have_gone_for_good_are_no_holders(nats_server: NatsServer) -> None:
    async with shared(nats_server) as (engine,):
        client = await nats.connect(nats_server.url)
        bucket = await client.jetstream().key_value("iii_queue_bindings")
        await bucket.put("t.f", msgspec.json.encode([f"engine{n}" for n in range(20)]))
        await client.close()
        await until(lambda: bound(engine, "t", "f"))
        heard = engine.function("f")
        assert engine.bind("t", "f", {}) is None
        me = engine.app.modules["iii-queue"].broker._signs.engine  # type: ignore[attr-defined]
        await until(lambda: rows_are(nats_server, "t", [[me]]))
        await publish(engine, "t", 1)
        await until(lambda: heard == [1])


async def rows(server: NatsServer, topic: str) -> list[list[str]]:
    """The engines that hold its function `f`, if there is a row."""
    client = await nats.connect(server.url)
    bucket = await client.jetstream().key_value("iii_queue_bindings")
    try:
        value = (await bucket.get(f"{topic}.f")).value or b""
        return [msgspec.json.decode(value, type=list[str])]
    except KeyNotFoundError:
        return []
    finally:
        await client.close()


async def rows_are(server: NatsServer, topic: str, expected: list[list[str]]) -> bool:
    return await rows(server, topic) == expected


def bound(engine: Shared, topic: str, function_id: str) -> bool:
    broker = engine.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
    return any((name.name, name.function_id) == (topic, function_id) for name in broker.bindings())
