"""The servers that tests start are there, can be lost, and come back with what they had stored."""

from __future__ import annotations

import socket
from pathlib import Path

import aio_pika
import nats
import pytest
import redis.asyncio
from tests.support.servers import NatsServer, RabbitServer, RedisServer, Server


async def test_redis_comes_back_with_its_data(redis_server: RedisServer) -> None:
    async with redis.asyncio.from_url(redis_server.url) as client:
        await client.set("a", "1")
    redis_server.kill()
    assert not redis_server.running
    redis_server.start()
    async with redis.asyncio.from_url(redis_server.url) as client:
        assert await client.get("a") == b"1"


async def test_nats_comes_back_with_its_streams(nats_server: NatsServer) -> None:
    client = await nats.connect(nats_server.url)
    await client.jetstream().add_stream(name="jobs", subjects=["jobs.*"])
    await client.jetstream().publish("jobs.a", b"1")
    await client.close()
    nats_server.kill()
    nats_server.start()
    client = await nats.connect(nats_server.url)
    assert (await client.jetstream().stream_info("jobs")).state.messages == 1
    await client.close()


async def test_rabbitmq_comes_back_with_its_queues(rabbitmq_server: RabbitServer) -> None:
    async with await aio_pika.connect(rabbitmq_server.url) as connection:
        await (await connection.channel()).declare_queue("test-servers", durable=True)
    rabbitmq_server.restart()
    async with await aio_pika.connect(rabbitmq_server.url) as connection:
        channel = await connection.channel()
        assert (await channel.declare_queue("test-servers", passive=True)).name == "test-servers"


@pytest.mark.parametrize("kind", ["redis_server", "nats_server"])
def test_a_paused_server_is_healed(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(kind)
    server.pause()
    server.heal()
    server.restart()
    assert server.running


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = NatsServer(tmp_path / "nats")
        server.port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match="address already in use"):
            server.start()
        server.close()
