from __future__ import annotations

import asyncio

import pytest

from iii_sdk import ChannelReader, ChannelRef, InvalidInput, Unavailable
from iii_sdk.address import Address, engine_url


async def test_frames_arrive_as_they_were_sent(bus):
    channel = await bus.channel()

    async def write() -> None:
        await channel.writer.send_text("start")
        await channel.writer.send_bytes(b"\0" * 100_000)
        await channel.writer.send_text("ende ä")
        await channel.writer.close()

    writing = asyncio.create_task(write())
    frames = [frame async for frame in channel.reader]
    await writing
    assert frames[0] == "start"
    assert [len(f) for f in frames[1:3]] == [65_536, 34_464]
    assert frames[3] == "ende ä"
    await channel.reader.close()


async def test_the_writer_may_finish_before_the_reader_comes(bus):
    channel = await bus.channel()
    await channel.writer.send_bytes(b"abc")
    await channel.writer.close()
    await channel.writer.close()
    reader = await bus.open_reader(channel.reader_ref)
    assert await reader.read_all() == b"abc"


async def test_closing_an_unused_writer_ends_the_reader(bus):
    channel = await bus.channel()
    await channel.writer.close()
    assert await channel.reader.read_all() == b""


async def test_writing_after_the_reader_left_is_refused(bus, wait_until):
    channel = await bus.channel()
    writer = await bus.open_writer(channel.writer_ref)
    reader = await bus.open_reader(channel.reader_ref)
    await reader.close()
    await writer.ended.wait()
    with pytest.raises(Unavailable) as raised:
        await writer.send_text("x")
    assert raised.value.code == "channel_closed"


async def test_a_channel_that_is_not_there(bus):
    ref = ChannelRef("nowhere", "k", "read")
    with pytest.raises(Unavailable) as raised:
        await bus.open_reader(ref)
    assert raised.value.code == "channel_unavailable"
    with pytest.raises(InvalidInput, match="direction"):
        await bus.open_writer(ref)
    with pytest.raises(InvalidInput, match="direction"):
        ChannelReader(bus.connection.endpoint, ChannelRef("c", "k", "write"))


def test_channel_addresses_keep_the_base_query():
    address = Address("wss://h:1/base/?token=t#x", {})
    ref = ChannelRef("c 1", "a&b", "write")
    assert address.channel(ref) == "wss://h:1/base/ws/channels/c%201?token=t&key=a%26b&dir=write"
    with pytest.raises(ValueError, match="not a ws"):
        Address("http://x")


def test_the_address_comes_from_the_environment(monkeypatch):
    for name in ("III_URL", "III_WS_URL", "III_ENGINE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert engine_url() == "ws://localhost:49134"
    monkeypatch.setenv("III_ENGINE_URL", "ws://three")
    assert engine_url() == "ws://three"
    monkeypatch.setenv("III_WS_URL", "ws://two")
    monkeypatch.setenv("III_URL", "ws://one")
    assert engine_url() == "ws://one"
    assert engine_url("ws://given") == "ws://given"
