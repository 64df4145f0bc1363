"""The core cases of publish and subscribe over every adapter, and between engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.support.adapters import adapter, call
from tests.support.desk import Desk, running
from tests.support.servers import NatsServer, RedisServer, Server, free_port
from tests.support.waiting import until

from iii_engine.modules.pubsub import PubSubModule
from iii_engine.storage.base import StoreError
from iii_sdk.errors import BusError

KINDS = ["local", "redis", "nats"]
SHARED = ["redis", "nats"]


@pytest.fixture(params=KINDS)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    options = {"adapter": adapter(request.param, request)}
    async with running(PubSubModule, options, trigger_type="subscribe") as desk:
        yield desk


@pytest.fixture(params=SHARED)
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Desk, Desk, Server]]:
    """Two engines at one server."""
    options = {"adapter": adapter(request.param, request)}
    async with (
        running(PubSubModule, options, trigger_type="subscribe") as one,
        running(PubSubModule, options, trigger_type="subscribe") as other,
    ):
        yield one, other, request.getfixturevalue(f"{request.param}_server")


async def publish(desk: Desk, topic: str, data: object = None, **context: str) -> Any:
    return await call(desk, "publish", {"topic": topic, "data": data}, **context)


async def heard(desk: Desk, function_id: str, *wanted: object) -> None:
    """The function gets just these, in this order."""
    await until(lambda: len(desk.payloads(function_id)) >= len(wanted), f"{wanted}")
    assert desk.payloads(function_id) == list(wanted)


@pytest.mark.promise(
    "Access",
    "What engines tell each other over Redis is no topic: no worker reads it there, or forges it.",
)
async def test_channels_of_the_engines_are_no_topics(redis_server: RedisServer) -> None:
    options = {"adapter": {"name": "redis", "config": {"redis_url": redis_server.url}}}
    async with running(PubSubModule, options, trigger_type="subscribe") as desk:
        desk.handler("all")
        desk.bind("t", "all", {"topic": "*"})
        for topic in ("stream::events", "iii:queue:wake"):
            with pytest.raises(BusError, match="engine's own"):
                await publish(desk, topic, {"forged": True})
            assert "engine's own" in str(desk.bind(topic, "all", {"topic": topic}))
            client = Redis.from_url(redis_server.url)
            assert await client.publish(topic, b'"of an engine"') == 1
            await client.aclose()
        await publish(desk, "stream::events of mine", 1)
        await heard(desk, "all", 1)


async def test_modules_case_103_each_subscriber_gets_the_data_once(desk: Desk) -> None:
    for name in ("one", "two", "star", "all"):
        desk.handler(name)
    desk.bind("t1", "one", {"topic": "news.a"})
    desk.bind("t2", "two", {"topic": "news.a"})
    desk.bind("t3", "star", {"topic": "news.*"})
    desk.bind("t4", "all", {"topic": "*"})
    assert await publish(desk, "news.a", {"n": [1, None]}) is None
    await publish(desk, "other", 2)
    await heard(desk, "all", {"n": [1, None]}, 2)
    for name in ("one", "two", "star"):
        await heard(desk, name, {"n": [1, None]})


async def test_a_message_does_not_say_who_called(desk: Desk) -> None:
    desk.handler("one")
    desk.bind("t1", "one", {"topic": "news"})
    await publish(desk, "news", {"n": 1, "_caller_worker_id": "made up"})
    await heard(desk, "one", {"n": 1})


async def test_modules_case_103_without_a_subscriber_the_answer_is_null(desk: Desk) -> None:
    assert await publish(desk, "nobody") is None


async def test_modules_case_104_who_leaves_takes_nobody_along(desk: Desk) -> None:
    desk.handler("one")
    desk.handler("two")
    desk.bind("t1", "one", {"topic": "news"})
    desk.bind("t2", "two", {"topic": "news"})
    desk.engine.triggers.remove("t1")
    await publish(desk, "news", 1)
    await heard(desk, "two", 1)
    desk.engine.triggers.remove("t2")
    await publish(desk, "news", 2)
    desk.bind("t1", "one", {"topic": "news"})
    await publish(desk, "news", 3)
    await heard(desk, "one", 3)
    await heard(desk, "two", 1)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("agent.*", ["agent.", "agent.started", "agent.a.b"]),
        ("agent*", ["agent", "agent.", "agent.started", "agent.a.b", "agents"]),
        ("agent.s*", ["agent.started"]),
        ("agent", ["agent"]),
        ("a?[x]*", ["a?[x] ä"]),
        ("Ä ..b", ["Ä ..b"]),
    ],
)
async def test_a_star_at_the_end_stands_for_the_rest(
    desk: Desk, pattern: str, wanted: list[str]
) -> None:
    desk.handler("seen")
    desk.handler("end")
    desk.bind("t", "seen", {"topic": pattern})
    desk.bind("e", "end", {"topic": "end"})
    topics = ["agent", "agent.", "agent.started", "agent.a.b", "agents", "a?[x] ä", "abx", "Ä ..b"]
    for topic in topics:
        await publish(desk, topic, topic)
    await publish(desk, "end", 0)
    await heard(desk, "end", 0)
    await heard(desk, "seen", *wanted)


async def test_messages_reach_the_other_engine_once_and_in_order(
    pair: tuple[Desk, Desk, Server],
) -> None:
    one, other, _ = pair
    for desk in (one, other):
        desk.handler("seen")
        desk.bind("t", "seen", {"topic": "n"})
        await publish(desk, "ready")  # its subscription is known to the server now
    await asyncio.gather(*(publish(one, "n", n) for n in range(100)))
    await heard(other, "seen", *range(100))
    await heard(one, "seen", *range(100))


async def test_a_lost_server_is_said_and_subscriptions_come_back(
    pair: tuple[Desk, Desk, Server],
) -> None:
    one, other, server = pair
    other.handler("seen")
    other.bind("t", "seen", {"topic": "n"})
    other.module.broadcast._patience = 0.2
    await asyncio.to_thread(server.kill)
    with pytest.raises(
        BusError, match=f"{server.port}.* (cannot be reached|does not answer)"
    ) as refused:
        await publish(other, "n", 0)
    assert refused.value.code == "PUBLISH_ERROR"
    await asyncio.to_thread(server.start)

    async def arrives() -> bool:
        try:
            await publish(one, "n", 1)
        except BusError:
            return False
        return other.payloads("seen") != []

    await until(arrives)


async def test_redis_carries_the_json_text_alone(redis_server: RedisServer) -> None:
    options = {"adapter": {"name": "redis", "config": {"redis_url": redis_server.url}}}
    async with (
        running(PubSubModule, options, trigger_type="subscribe") as desk,
        Redis.from_url(redis_server.url) as foreign,
        foreign.pubsub(ignore_subscribe_messages=True) as listening,
    ):
        desk.handler("seen")
        desk.bind("t", "seen", {"topic": "n"})
        await listening.subscribe("n")
        await publish(desk, "n", {"a": 1})
        message = await until(lambda: listening.get_message(timeout=1))
        assert message["data"] == b'{"a": 1}'
        await foreign.publish("n", "no json")
        await foreign.publish("n", "[" * 5000 + "]" * 5000)
        await foreign.publish("n", b'"\xff"')
        await foreign.publish("n", "[2]")
        await heard(desk, "seen", {"a": 1}, [2])


async def test_nats_carries_the_trace(nats_server: NatsServer) -> None:
    options = {"adapter": {"name": "nats", "config": {"nats_url": nats_server.url}}}
    async with running(PubSubModule, options, trigger_type="subscribe") as desk:
        calls = desk.handler("seen")
        desk.bind("t", "seen", {"topic": "n"})
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        parent = f"00-{trace}-00f067aa0ba902b7-01"
        await publish(desk, "n", 1, traceparent=parent, baggage="tenant=a")
        await heard(desk, "seen", 1)
        assert calls[0].traceparent.split("-")[1] == trace
        assert calls[0].baggage == "tenant=a"
        with pytest.raises(BusError, match="max_payload"):
            await publish(desk, "n", "x" * 2**20)
        await publish(desk, "n", 2)
        await heard(desk, "seen", 1, 2)


@pytest.mark.parametrize("kind", SHARED)
async def test_a_server_that_is_not_there_keeps_the_module_from_starting(kind: str) -> None:
    url = f"{kind}://:s3cret@127.0.0.1:{free_port()}"
    options = {"adapter": {"name": kind, "config": {f"{kind}_url": url}}}
    with pytest.raises(StoreError, match=r"\*\*\*@127.0.0.1") as refused:
        async with running(PubSubModule, options):
            pass
    assert "s3cret" not in str(refused.value)
