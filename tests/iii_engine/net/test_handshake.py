"""Upgrades that wait for a decision, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.waiting import until

from iii_engine.net.handshake import MAX_HEAD, address, read_head
from iii_engine.net.stream_listener import StreamListener

UPGRADE = (
    b"GET /?k=v HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
PING = b"\x89\x80\x00\x00\x00\x00"


@pytest.fixture
async def guarded() -> AsyncIterator[RunningEngine]:
    engine = RunningEngine({"iii-stream": {"auth_function": "auth"}})
    await engine.start()
    yield engine
    await engine.stop()


class Wire:
    """A TCP connection to the stream port."""

    def __init__(self, engine: RunningEngine) -> None:
        self.engine = engine

    async def __aenter__(self) -> Wire:
        host, port = self.engine.stream_url.removeprefix("ws://").split(":")
        self.reader, self.writer = await asyncio.open_connection(host, int(port))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.writer.close()

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def status(self) -> int:
        line = await asyncio.wait_for(self.reader.readline(), 5)
        return int(line.split()[1])

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 5)


def listener_of(engine: RunningEngine) -> StreamListener:
    listener = engine.app.modules["iii-stream"].listener  # type: ignore[attr-defined]
    assert isinstance(listener, StreamListener)
    return listener


async def test_the_head_may_come_byte_by_byte(engine: RunningEngine) -> None:
    async with Wire(engine) as wire:
        for byte in UPGRADE + b"\r\n":
            wire.say(bytes((byte,)))
            await wire.writer.drain()
        assert await wire.status() == 101


async def test_frames_behind_the_head_are_kept_for_later(guarded: RunningEngine) -> None:
    async with RawWorker(guarded.url) as worker, Wire(guarded) as wire:
        await worker.register("auth")
        wire.say(UPGRADE + b"\r\n" + PING)
        asked = await worker.invoked("auth")
        assert asked["data"]["query_params"] == {"k": ["v"]}
        wire.say(PING)
        await worker.answer(asked, {"context": None})
        assert await wire.status() == 101
        await wire.reader.readuntil(b"\r\n\r\n")
        assert await asyncio.wait_for(wire.reader.readexactly(4), 5) == b"\x8a\x00\x8a\x00"


async def test_who_goes_before_the_decision_leaves_nothing(guarded: RunningEngine) -> None:
    listener = listener_of(guarded)
    async with RawWorker(guarded.url) as worker:
        await worker.register("auth")
        async with Wire(guarded) as wire:
            wire.say(UPGRADE + b"\r\n")
            asked = await worker.invoked("auth")
        await until(lambda: not listener.arrivals)
        await worker.answer(asked, {"context": 1})
        await worker.settle()
        assert not listener.sockets


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nbad\r\n\r\n", b"\r\n\r\n", b"x" * MAX_HEAD])
async def test_what_is_no_request_is_not_asked_about(guarded: RunningEngine, head: bytes) -> None:
    async with RawWorker(guarded.url) as worker, Wire(guarded) as wire:
        await worker.register("auth")
        wire.say(head)
        answer = await wire.rest()
        assert not answer.startswith(b"HTTP/1.1 101")
        await worker.settle()
        assert not [frame for frame in worker.frames if frame["type"] == "invokefunction"]


async def test_a_request_that_is_no_upgrade_is_refused(engine: RunningEngine) -> None:
    async with Wire(engine) as wire:
        wire.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert 400 <= await wire.status() < 500


async def test_those_who_wait_are_cut_off_at_the_end(guarded: RunningEngine) -> None:
    async with Wire(guarded) as wire:
        wire.say(UPGRADE)
        listener = listener_of(guarded)
        await until(lambda: listener.arrivals)
        await listener.close()
        with pytest.raises((ConnectionError, AssertionError)):
            assert await wire.rest()


def test_headers_are_collected() -> None:
    head = read_head(
        UPGRADE.replace(b"/?k=v", b"/a%20b?x=%41&x=2&y") + b"X-A: 1\r\nx-a: \xc3\xa9\xff\r\n\r\n",
        "ip:1",
    )
    assert head is not None
    assert (head.path, head.addr) == ("/a%20b", "ip:1")
    assert head.query_params == {"x": ["A", "2"], "y": [""]}
    assert head.headers["x-a"] == "1, é\ufffd"
    assert head.headers["upgrade"] == "websocket"


def test_addresses_have_a_port() -> None:
    assert address(("127.0.0.1", 80)) == "127.0.0.1:80"
    assert address(("::1", 80, 0, 0)) == "[::1]:80"
    assert address(None) == ""
