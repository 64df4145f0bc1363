"""Channels over real sockets. Numbers are cases of the wire protocol §18."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.waiting import until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from iii_engine.core.channel import BROKEN, FINISHED, Channel
from iii_engine.core.clock import SystemClock, SystemIds
from iii_engine.core.engine import Engine
from iii_engine.net.channel_socket import channel_listener
from iii_engine.net.websocket import Limits, WorkerListener


class Place:
    """A worker listener with an engine, and clients that are closed at the end."""

    def __init__(self) -> None:
        self.engine = Engine(SystemClock(), SystemIds())
        self.channels = self.engine.channels
        self.listener = WorkerListener(
            self.engine,
            asyncio.get_running_loop(),
            limits=Limits(),
            channels=lambda request: channel_listener(self.channels, request),
        )
        self.port = 0
        self.clients: list[ClientConnection] = []

    async def open(self, path: str) -> ClientConnection:
        client = await connect(
            f"ws://127.0.0.1:{self.port}/ws/channels/{path}", max_size=None, proxy=None
        )
        self.clients.append(client)
        return client

    async def reader(self, channel: Channel) -> ClientConnection:
        return await self.open(f"{channel.id}?key={channel.read_key}&dir=read")

    async def writer(self, channel: Channel) -> ClientConnection:
        return await self.open(f"{channel.id}?key={channel.write_key}&dir=write")


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    made.port = await made.listener.open("127.0.0.1", 0)
    yield made
    for client in made.clients:
        await client.close()
    await made.listener.close()


async def collect(client: ClientConnection) -> list[str | bytes]:
    return [frame async for frame in client]


async def closed_with(client: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(client.recv(), 5)
    return client.close_code


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("", 400, "key is missing"),
        ("?dir=read", 400, "key is missing"),
        ("?key=KEY", 400, "dir must be read or write"),
        ("?key=KEY&dir=both", 400, "dir must be read or write"),
        ("?key=wrong&dir=read", 404, "Channel not found"),
        ("?key=KEY&dir=write", 404, "Channel not found"),
    ],
)
async def test_wire_case_3_refused_upgrades(
    place: Place, query: str, status: int, text: str
) -> None:
    channel = place.channels.create()
    with pytest.raises(InvalidStatus) as refused:
        await place.open(channel.id + query.replace("KEY", channel.read_key))
    assert refused.value.response.status_code == status
    assert refused.value.response.body == text.encode()


async def test_unknown_channel(place: Place) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await place.open("no?key=k&dir=read")
    assert refused.value.response.status_code == 404


async def test_wire_case_66_frames_pass_one_to_one(place: Place) -> None:
    channel = place.channels.create()
    reader, writer = await place.reader(channel), await place.writer(channel)
    frames = ["text", b"x" * 65536, "täxt"]
    for frame in frames:
        await writer.send(frame)
    await writer.close()
    assert await asyncio.wait_for(collect(reader), 5) == frames
    assert reader.close_code == 1000
    assert len(place.channels) == 0


async def test_wire_case_67_writer_finishes_first(place: Place) -> None:
    channel = place.channels.create()
    writer = await place.writer(channel)
    await writer.send(b"a")
    await writer.send("b")
    await writer.close(1000, "stream_complete")
    reader = await place.reader(channel)
    assert await asyncio.wait_for(collect(reader), 5) == [b"a", "b"]


async def test_wire_case_68_writer_blocks_until_the_reader_comes(place: Place) -> None:
    channel = place.channels.create(buffer_size=4)
    writer = await place.writer(channel)
    frames = [bytes([number % 256]) * 65536 for number in range(1000)]

    async def send_all() -> None:
        for frame in frames:
            await writer.send(frame)
        await writer.close()

    sending = asyncio.ensure_future(send_all())
    await until(lambda: channel.full)
    assert not sending.done()
    reader = await place.reader(channel)
    assert await asyncio.wait_for(collect(reader), 20) == frames
    await sending


async def test_wire_case_69_second_reader_and_leaving_reader(place: Place) -> None:
    channel = place.channels.create()
    reader, writer = await place.reader(channel), await place.writer(channel)
    assert await closed_with(await place.reader(channel)) == 1008
    await writer.send("a")
    assert await asyncio.wait_for(reader.recv(), 5) == "a"
    await reader.close()
    assert await closed_with(writer) == 1000
    assert len(place.channels) == 0


async def test_dropped_writer_ends_the_reader(place: Place) -> None:
    channel = place.channels.create()
    reader, writer = await place.reader(channel), await place.writer(channel)
    await writer.send("a")
    writer.transport.abort()
    assert await asyncio.wait_for(reader.recv(), 5) == "a"
    assert await closed_with(reader) == 1000


class Listening:
    """A reader in the engine itself."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def deliver(self, text: bool, data: bytes) -> None:
        self.frames.append(data)

    def end(self, code: int) -> None:
        self.ended.set_result(code)


@pytest.mark.parametrize("early", [True, False])
async def test_the_engine_tells_a_dropped_writer_from_one_that_closed(
    place: Place, early: bool
) -> None:
    for drop, code in ((False, FINISHED), (True, BROKEN)):
        channel, reader = place.channels.create(), Listening()
        if early:
            channel.attach_reader(reader)
        writer = await place.writer(channel)
        await writer.send(b"a")
        await asyncio.wait_for(await writer.ping(), 5)
        if drop:
            writer.transport.abort()
        else:
            await writer.close(1011)
        if not early:
            await until(lambda channel=channel: channel.has_writer and channel._writer is None)
            channel.attach_reader(reader)
        assert await asyncio.wait_for(reader.ended, 5) == code
        assert reader.frames == [b"a"]


async def test_wire_case_70_a_megabyte_arrives_whole(place: Place) -> None:
    channel = place.channels.create()
    reader, writer = await place.reader(channel), await place.writer(channel)
    data = bytes(range(256)) * 4096

    async def send_all() -> None:
        for start in range(0, len(data), 65536):
            await writer.send(data[start : start + 65536])
        await writer.close()

    sending = asyncio.ensure_future(send_all())
    frames = await asyncio.wait_for(collect(reader), 10)
    assert b"".join(frame for frame in frames if isinstance(frame, bytes)) == data
    await sending


async def test_fragmented_message_is_one_frame(place: Place) -> None:
    channel = place.channels.create()
    reader, writer = await place.reader(channel), await place.writer(channel)
    await writer.send(["ab", "cd"])
    assert await asyncio.wait_for(reader.recv(), 5) == "abcd"


async def test_message_above_a_frame_is_relayed_in_fragments(place: Place) -> None:
    channel = place.channels.create()
    reader, writer = await place.reader(channel), await place.writer(channel)
    part = bytes(9 * 1024 * 1024)
    sending = asyncio.ensure_future(writer.send([part, part]))
    assert len(await asyncio.wait_for(reader.recv(), 20)) == 2 * len(part)
    await sending


async def test_ping_gets_pong(place: Place) -> None:
    channel = place.channels.create()
    for client in (await place.reader(channel), await place.writer(channel)):
        await asyncio.wait_for(await client.ping(), 5)


async def test_invalid_text_is_1007(place: Place) -> None:
    channel = place.channels.create()
    reader, writer = await place.reader(channel), await place.writer(channel)
    writer.transport.write(Frame(Opcode.TEXT, b"\xff").serialize(mask=True))
    assert await closed_with(writer) == 1007
    assert await closed_with(reader) == 1000


async def test_slow_reader_holds_the_writer(place: Place) -> None:
    channel = place.channels.create(buffer_size=2)
    reader, writer = await place.reader(channel), await place.writer(channel)
    reader.transport.pause_reading()
    count = 600  # of 64 KiB: more than the kernel keeps on both ways

    async def send_all() -> None:
        for _ in range(count):
            await writer.send(b"x" * 65536)
        await writer.close()

    sending = asyncio.ensure_future(send_all())
    await until(lambda: channel.full)
    assert not sending.done()
    reader.transport.resume_reading()
    frames = await asyncio.wait_for(collect(reader), 30)
    await sending
    assert len(frames) == count
