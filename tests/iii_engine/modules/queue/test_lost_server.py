"""Queues on a server that goes away, hangs, refuses or was never there: the same for all."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Final

import pytest
from tests.support.engine import RunningEngine
from tests.support.queue_engine import Shared, adapter_of, holds, knows, shared
from tests.support.servers import NatsServer, Server, free_port
from tests.support.waiting import until

from iii_engine import extras
from iii_engine.core.router import Call
from iii_engine.module_set import StartError
from iii_sdk.errors import BusError

#: What each is called, and how its addresses begin.
KINDS: Final = {
    "nats": ("NATS", "nats"),
    "redis": ("Redis", "redis"),
    "rabbitmq": ("RabbitMQ", "amqp"),
}
#: Where the seconds that each waits for an answer are.
ANSWERS: Final = {
    "nats": "iii_engine.modules.queue.jetstream.stored.ANSWER_SECONDS",
    "redis": "iii_engine.modules.queue.redis.asking.ANSWER_SECONDS",
    "rabbitmq": "iii_engine.modules.queue.rabbitmq.link.ANSWER_SECONDS",
}
#: Where the seconds that each waits for its server at the start are.
CONNECTS: Final = {
    "nats": "iii_engine.net.nats_client.CONNECT_SECONDS",
    "redis": "iii_engine.net.redis_client.CONNECT_SECONDS",
    "rabbitmq": "iii_engine.modules.queue.rabbitmq.link.CONNECT_SECONDS",
}


async def refusal(kind: str, url: str) -> str:
    """What an engine says that does not start with its queues there."""
    with pytest.raises(StartError) as refused:
        await RunningEngine({"iii-queue": {"adapter": adapter_of(kind, url)}}).start()
    return str(refused.value)


@pytest.mark.promise(
    "Queues",
    "A server of queues that is killed and started again has every job that was acknowledged.",
)
async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(server: Server) -> None:
    async with shared(server, 2) as (one, two):
        first, second = one.function("work"), two.function("work")
        topic = one.function("listen")
        assert one.bind("t", "listen", {}) is None
        await until(lambda: knows(one, "t"))
        late: list[Call] = []
        for engine in (one, two):
            engine.core.add_function("slow", late.append, module="test")
        await one.enqueue("default", "slow", "slow")
        await until(lambda: len(late) == 1)
        for n in range(50):
            await one.enqueue("default", "work", n, delay_ms=20 * n)
        await asyncio.to_thread(server.kill)
        with pytest.raises(BusError, match="cannot be reached"):
            await one.enqueue("default", "work", "lost")
        await until(lambda: one.status != "running")
        late[0].reply()
        await asyncio.to_thread(server.start)
        stored = 0
        while stored < 20:
            try:
                await two.enqueue("default", "work", 50 + stored)
                await one.ask("iii::durable::publish", {"topic": "t", "data": stored})
                stored += 1
            except BusError:
                await asyncio.sleep(0.05)
        await until(lambda: set(range(70)) <= {*first, *second})
        await until(lambda: set(range(20)) <= set(topic))
        for call in late[1:]:
            call.reply()  # the server had given it to the other engine
        await until(lambda: one.status == "running")
        await until(lambda: holds(one, "default", (0, 0)))


async def test_a_server_that_hangs_is_told_of_in_time(
    server: Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(ANSWERS[request.node.callspec.params["server"]], 1.0)
    async with shared(server) as (engine,):
        heard = engine.function("work")
        await engine.enqueue("default", "work", 0)
        await until(lambda: heard == [0])
        server.pause()
        begin = time.monotonic()
        with pytest.raises(BusError, match=f"127.0.0.1:{server.port}.* cannot be reached") as told:
            await engine.enqueue("default", "work", 1)
        assert time.monotonic() - begin < 12
        assert "; it is not known whether" in str(told.value)
        assert "guest:guest" not in str(told.value)
        server.resume()
        await until(lambda: stored(engine, 2))
        await until(lambda: 2 in heard)


async def stored(engine: Shared, payload: int) -> bool:
    try:
        await engine.enqueue("default", "work", payload)
    except BusError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
async def test_an_engine_does_not_start_without_its_server(kind: str) -> None:
    name, scheme = KINDS[kind]
    begin = time.monotonic()
    said = await refusal(kind, f"{scheme}://me:s3cret@127.0.0.1:{free_port()}")
    assert time.monotonic() - begin < 15
    assert f"{name} at {scheme}://me:***@127.0.0.1" in said
    assert "cannot be reached" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_says_nothing_is_given_up_within_seconds(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CONNECTS[kind], 0.3)  # of 5
    name, scheme = KINDS[kind]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        begin = time.monotonic()
        said = await refusal(kind, f"{scheme}://me:s3cret@127.0.0.1:{port}")
        assert time.monotonic() - begin < 4.5
    assert f"{name} at {scheme}://me:***@127.0.0.1:{port} cannot be reached" in said
    assert "s3cret" not in said


async def test_a_login_that_is_refused_is_said(
    server: Server, request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.params["server"]
    name, scheme = KINDS[kind]
    if isinstance(server, NatsServer):
        await asyncio.to_thread(server.stop)
        server.login = ("me", "another")
        await asyncio.to_thread(server.start)
    begin = time.monotonic()
    said = await refusal(kind, f"{scheme}://me:s3cret@127.0.0.1:{server.port}")
    assert time.monotonic() - begin < 15
    assert f"{name} at {scheme}://me:***@127.0.0.1:{server.port}" in said
    assert "refuses the login" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("kind", KINDS)
async def test_without_the_extra_the_engine_says_what_to_install(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda package: None)
    said = await refusal(kind, f"{KINDS[kind][1]}://127.0.0.1:1")
    assert f"pip install 'agentos[{kind}]'" in said
