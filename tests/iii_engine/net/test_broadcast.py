"""What other programs put where engines listen: only what workers can read gets in."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import nats
import pytest
from redis.asyncio import Redis
from tests.support.servers import NatsServer, RedisServer, Server
from tests.support.waiting import until

from iii_engine.net import redis_broadcast
from iii_engine.net.broadcast import Broadcast, Message
from iii_engine.net.nats_broadcast import NatsBroadcast
from iii_engine.net.redis_broadcast import RedisBroadcast

#: JSON for some readers, or for none.
BAD = {
    "no JSON": b"no json",
    "nothing": b"",
    "no UTF-8": b'"\xff"',
    "too deep": b"[" * 300 + b"]" * 300,
    "too deep and long": b"[" * 10_000 + b"]" * 10_000,
    "endless": b"[" + b"1" * 5000 + b"]",
    "not a number": b"[NaN]",
}


@asynccontextmanager
async def listening(kind: str, server: Server) -> AsyncIterator[tuple[Broadcast, list[bytes]]]:
    """To the topic `n`, and what was heard."""
    heard: list[bytes] = []

    def hear(pattern: str, message: Message) -> None:
        assert pattern == "n"
        heard.append(message.data)

    made: Broadcast
    if kind == "redis":
        made = RedisBroadcast(server.url, hear)
    else:
        made = NatsBroadcast(server.url, "root", hear)
    await made.open()
    try:
        made.listen("n")
        await publish(made, b'"first"')
        await until(lambda: heard == [b'"first"'])
        yield made, heard
    finally:
        await made.close()


async def publish(broadcast: Broadcast, data: bytes) -> None:
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    broadcast.publish(Message("n", data), lambda error: sent.set_result(None))
    await sent


async def publish_from_outside(kind: str, server: Server, *texts: bytes) -> None:
    if kind == "redis":
        async with Redis.from_url(server.url) as redis:
            for text in texts:
                await redis.publish("n", text)
    else:
        client = await nats.connect(server.url)
        for text in texts:
            await client.publish("root.n", text)
        await client.close()


@pytest.mark.promise(
    "Adapters",
    "What other programs put into Redis or NATS is held to the rules of messages: nested too "
    "deeply, with endless integers, or no JSON at all, it reaches no worker.",
)
@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_only_what_every_reader_takes_is_heard(
    kind: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    async with listening(kind, server) as (broadcast, heard):
        await publish_from_outside(kind, server, *BAD.values(), rb'["\ud800"]', b'"last"')
        await until(lambda: heard[-1:] == [b'"last"'])
    assert heard == [b'"first"', rb'["\ud800"]', b'"last"']
    told = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [r.getMessage() for r in told] == [
        f"{broadcast.name}: what came on n cannot be read, and nobody was told: JSON is malformed: "
        "invalid character (byte 1) (said once)"
    ]


async def test_nats_messages_with_names_that_are_no_text_end_nothing(
    nats_server: NatsServer,
) -> None:
    async with listening("nats", nats_server) as (broadcast, heard):
        broadcast.listen("*")
        broadcast._heard = lambda pattern, message: heard.append(message.data)
        await publish(broadcast, b'"second"')
        await until(lambda: heard[1:] == [b'"second"'] * 2)
        with socket.create_connection(("127.0.0.1", nats_server.port)) as raw:
            raw.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n')
            raw.sendall(b"PUB root.\xff 1\r\n1\r\n")
            raw.sendall(b"PUB root.=FF 1\r\n1\r\n")
            raw.sendall(b"PUB root.n \xff 1\r\n2\r\n")
            for head in (b" \xff\r\n\r\n", b"\r\na: \xff\r\n\r\n", b""):
                line = b"NATS/1.0" + head
                raw.sendall(b"HPUB root.n %d %d\r\n%b3\r\n" % (len(line), len(line) + 1, line))
            raw.sendall(b"PING\r\n")
            raw.settimeout(5)
            answer = b""
            while b"PONG" not in answer:
                answer += raw.recv(4096)
        await publish(broadcast, b'"last"')
        await until(lambda: heard.count(b'"last"') == 2)
    assert set(heard) == {b'"first"', b'"second"', b"1", b"2", b"3", b'"last"'}
    assert b"-ERR" not in answer


async def test_a_connection_that_fell_silent_is_a_lost_one(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_broadcast, "ASK_SECONDS", 0.1, raising=False)
    monkeypatch.setattr(redis_broadcast, "SILENCE_SECONDS", 0.5, raising=False)
    returns: list[bool] = []
    async with listening("redis", redis_server) as (broadcast, heard):
        broadcast.returned = lambda: returns.append(True)
        redis_server.pause()
        await until(lambda: "cannot be reached" in (broadcast._deaf or ""))
        assert returns == []
        redis_server.resume()
        await until(lambda: returns and broadcast.problem is None)
        await publish(broadcast, b'"last"')
        await until(lambda: heard[-1:] == [b'"last"'])


async def test_hearing_goes_on_after_a_defect(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening("redis", redis_server) as (broadcast, heard):
        with monkeypatch.context() as patch:
            patch.setattr(broadcast, "_take", lambda message: 1 / 0)
            await publish_from_outside("redis", redis_server, b'"lost"')
            await until(lambda: broadcast._deaf is not None)
        await until(lambda: broadcast._deaf is None)
        await publish(broadcast, b'"last"')
        await until(lambda: heard[-1:] == [b'"last"'])


async def test_all_are_told_that_their_messages_were_sent(redis_server: RedisServer) -> None:
    told: list[int] = []
    async with listening("redis", redis_server) as (broadcast, heard):
        for number in range(4):

            def sent(problem: object, number: int = number) -> None:
                told.append(number)
                if number == 1:
                    raise ValueError("a defect")

            broadcast.publish(Message("n", b"%d" % number), sent)
        await until(lambda: told == [0, 1, 2, 3])
        await until(lambda: heard[1:] == [b"0", b"1", b"2", b"3"])


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_what_is_heard_is_what_was_read_of_it(
    kind: str, request: pytest.FixtureRequest
) -> None:
    async with listening(kind, request.getfixturevalue(f"{kind}_server")) as (broadcast, heard):
        await publish(broadcast, b'["' + rb"\ud800" + b"x" * 300_000 + b'"]')
        await until(lambda: heard[1:])
        assert msgspec.json.decode(heard[1]) == ["\ufffd" + "x" * 300_000]
