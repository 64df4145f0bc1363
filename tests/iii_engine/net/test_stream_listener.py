from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from tests.support.desk import running
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.stream_client import StreamClient, upgrade
from tests.support.waiting import until

from iii_engine.core.stream_messages import Event, Wanted, changed
from iii_engine.core.stream_subscriber import MAX_ASKING, MAX_WAITING
from iii_engine.modules.stream import StreamModule
from iii_engine.net.stream_listener import StreamListener, wanted_by
from iii_engine.net.stream_socket import MAX_MESSAGE


def listener_of(engine: RunningEngine) -> StreamListener:
    listener = engine.app.modules["iii-stream"].listener  # type: ignore[attr-defined]
    assert isinstance(listener, StreamListener)
    return listener


def happen(engine: RunningEngine, data: object = 1, group: str = "g") -> None:
    body = changed("update", json.dumps(data).encode())
    event = Event(stream="chat", group=group, item="1", body=body)
    engine.app.modules["iii-stream"].hub.publish(event)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/stream/chat/room/", ("chat", "room", None)),
        ("/stream/chat/room", ("chat", "room", None)),
        ("/stream/chat/room/7", ("chat", "room", "7")),
        ("/stream/a%2Fb/c%20d/%25", ("a/b", "c d", "%")),
        ("/stream/chat", None),
        ("/stream/chat/", None),
        ("/stream//room/", None),
        ("/stream/chat/room/7/8", None),
        ("/streams/chat/room", None),
    ],
)
def test_a_path_may_say_what_is_watched(
    path: str, wanted: tuple[str, str, str | None] | None
) -> None:
    assert wanted_by(path, "id") == (None if wanted is None else Wanted("id", *wanted))


async def test_a_path_joins_by_itself(engine: RunningEngine) -> None:
    async with StreamClient(engine.stream_url + "/stream/chat/g/?a=b") as client:
        assert await client.event() == {"type": "sync", "data": []}
        happen(engine, "x")
        assert await client.event() == {"type": "update", "data": "x"}
        joined = await client.join("chat", "g")
        assert joined["event"]["type"] == "sync"
        happen(engine)
        assert len((await client.next())["subscriptionIds"]) == 2


@pytest.mark.parametrize("path", ["/nothing", "/stream/chat"])
async def test_other_paths_are_unknown(engine: RunningEngine, path: str) -> None:
    assert await upgrade(engine.stream_url + path) == 404


@pytest.mark.parametrize(
    ("options", "origin", "status"),
    [
        ({}, "http://localhost:3000", 101),
        ({}, "https://evil.example", 403),
        ({"allowed_origins": ["https://good.example"]}, "https://good.example", 101),
        ({"allowed_origins": ["https://good.example"]}, "http://localhost", 403),
        ({"allowed_origins": ["*"]}, "https://evil.example", 101),
    ],
)
async def test_web_pages_of_elsewhere_are_refused(
    options: dict[str, Any], origin: str, status: int
) -> None:
    engine = RunningEngine({"iii-stream": options})
    await engine.start()
    assert await upgrade(engine.stream_url, {"Origin": origin}) == status
    await engine.stop()


async def test_a_bad_message_is_answered_and_the_next_one_works(engine: RunningEngine) -> None:
    async with StreamClient(engine.stream_url) as client:
        await client.socket.send("{")
        await client.socket.send(" ")
        error = await client.next()
        assert error["type"] == "error"
        assert error["error"]["code"] == "bad_message"
        data = {"subscriptionId": "s", "streamName": "chat", "groupId": "g"}
        await client.socket.send(json.dumps({"type": "join", "data": data}).encode())  # binary
        assert await client.event() == {"type": "sync", "data": []}


async def test_messages_of_clients_are_small(engine: RunningEngine) -> None:
    async with StreamClient(engine.stream_url) as client:
        await client.socket.send(" " * MAX_MESSAGE)
        await client.settle()
        await client.socket.send(" " * (MAX_MESSAGE + 1))
        assert await client.close_code() in (1009, 1006)


async def test_many_events_at_once_reach_who_reads(engine: RunningEngine) -> None:
    async with StreamClient(engine.stream_url) as client:
        await client.join("chat", "g")
        for number in range(10 * MAX_WAITING):
            happen(engine, number)
        got = [(await client.event())["data"] for _ in range(10 * MAX_WAITING)]
        assert got == list(range(10 * MAX_WAITING))


async def test_large_values_arrive_whole(engine: RunningEngine) -> None:
    async with StreamClient(engine.stream_url) as client, RawWorker(engine.url) as worker:
        await client.join("chat", "g")
        value = {"stream_name": "chat", "group_id": "g", "item_id": "1", "data": "é" * 1_500_000}
        await worker.call("stream::set", value)
        assert (await client.event())["data"] == value["data"]


async def test_who_does_not_read_is_told_and_delays_nobody(engine: RunningEngine) -> None:
    async with StreamClient(engine.stream_url) as healthy:
        stalled = await Stalled.open(engine)
        await healthy.join("chat", "g")
        count = 0
        while listener_of(engine).slow == 0:
            happen(engine, "x" * 100_000)
            count += 1
            assert (await healthy.event())["type"] == "update"
        assert len(listener_of(engine).sockets) == 1
        assert await stalled.close_code() == 1013
        happen(engine, "last")
        assert (await healthy.event())["data"] == "last"


async def test_joins_wait_while_many_are_undecided(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker, StreamClient(engine.stream_url) as client:
        await worker.register("join")
        await worker.register_trigger("stream:join", "join")
        for number in range(3000):
            place = {"streamName": "chat", "groupId": str(number)}
            await client.say("join", str(number % 1000), **place)
        asked = [await worker.invoked("join") for _ in range(MAX_ASKING)]
        await worker.settle()
        assert MAX_ASKING <= len(asked) + len(worker.frames) < 2000
        for _ in range(3000):
            await worker.answer(asked.pop() if asked else await worker.invoked("join"))
        assert (await client.next())["event"]["type"] == "sync"


class Stalled:
    """A client that stops reading after its first message."""

    @classmethod
    async def open(cls, engine: RunningEngine) -> Stalled:
        host, port = engine.stream_url.removeprefix("ws://").split(":")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (host, int(port)))
        await loop.sock_sendall(
            sock,
            b"GET /stream/chat/g/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        self = cls()
        self.socket = sock
        await until(lambda: listener_of(engine).sockets)
        return self

    async def close_code(self) -> int:
        """Read everything; the code in the Close frame that comes last."""
        loop, tail = asyncio.get_running_loop(), b""
        while data := await asyncio.wait_for(loop.sock_recv(self.socket, 65536), 10):
            tail = (tail + data)[-200:]
        self.socket.close()
        return int.from_bytes(tail[tail.rindex(b"\x88") + 2 :][:2], "big")


async def test_who_misses_two_pings_is_dropped(engine: RunningEngine) -> None:
    listener = listener_of(engine)
    stalled = await Stalled.open(engine)
    async with StreamClient(engine.stream_url) as client:
        await client.settle()
        for _ in range(3):
            assert len(listener.sockets) == 2
            listener.sweep()
            await client.settle()
        assert len(listener.sockets) == 1
        assert await stalled.close_code() == 1008


async def test_pings_are_due_every_30_seconds() -> None:
    async with running(StreamModule, {"port": 0}) as desk:
        assert desk.module.address is not None
        async with StreamClient("ws://{}:{}".format(*desk.module.address)) as client:
            await client.settle()
            (peer,) = desk.module.listener.sockets  # type: ignore[attr-defined]
            for _ in range(2):
                desk.advance(29)
                assert peer.quiet_sweeps == 0
                desk.advance(1)
                assert peer.quiet_sweeps == 1
                await until(lambda: peer.quiet_sweeps == 0)


async def test_everybody_is_told_of_the_end() -> None:
    engine = RunningEngine()
    await engine.start()
    async with StreamClient(engine.stream_url) as client:
        await client.join("chat", "g")
        happen(engine, "last")
        stopping = asyncio.create_task(engine.stop())
        assert (await client.event())["data"] == "last"
        assert await client.close_code() == 1012
        await stopping
