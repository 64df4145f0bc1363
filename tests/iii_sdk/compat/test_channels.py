"""Data channels between programs, on threads and loops of their own."""

from __future__ import annotations

import asyncio
import dataclasses
import threading

import httpx2
import pytest
from tests.support.engine import EngineProcess
from tests.support.waiting import until_sync

from iii_sdk import ApiResponse, IIIInvocationError
from iii_sdk.compat import ChannelReader, http


@dataclasses.dataclass
class Job:
    name: str
    source: ChannelReader


def test_references_in_data_become_ends(iii, make, url):
    @iii.function("channels::upper")
    async def upper(data):
        reader, writer = data["ends"]
        await writer.write((await reader.read_all()).upper())
        await writer.close_async()
        return [type(reader).__name__, type(writer).__name__]

    other = make(url)
    there, back = other.create_channel(), other.create_channel(4)
    ends = [there.reader_ref, back.writer]
    call = other.trigger("channels::upper", {"ends": ends})

    async def talk():
        await there.writer.write(b"ab" * 100_000)
        there.writer.close()
        return await back.reader.read_all()

    assert asyncio.run(talk()) == b"AB" * 100_000
    assert call.result(5) == ["ChannelReader", "ChannelWriter"]


def test_ends_in_typed_payloads(iii):
    @iii.function("channels::typed")
    async def typed(job: Job) -> list[str]:
        return [job.name, (await job.source.read_all()).decode()]

    channel = iii.create_channel()
    call = iii.trigger("channels::typed", {"name": "n", "source": channel.reader_ref})
    channel.writer.stream.write(b"a")
    channel.writer.stream.end(b"b")
    assert call.result(5) == ["n", "ab"]
    with pytest.raises(IIIInvocationError, match="deserialization_error"):
        iii.trigger("channels::typed", {"name": "n", "source": channel.writer_ref}).result(5)


def test_messages_and_bytes_in_order(iii):
    async def talk():
        channel = await iii.create_channel_async()
        texts = []
        channel.reader.on_message(texts.append)
        channel.writer.send_message("first")
        await channel.writer.write(b"bytes")
        await channel.writer.send_message_async("last")
        channel.writer.close()
        pieces = [piece async for piece in channel.reader]
        await channel.reader.close_async()
        return texts, pieces

    assert asyncio.run(talk()) == (["first", "last"], [b"bytes"])


def test_a_reader_that_stopped_waiting_loses_nothing(iii):
    async def talk():
        channel = await iii.create_channel_async()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.reader.read_all(), 0.05)
        channel.writer.stream.write(b"a")
        channel.writer.stream.end(b"b")
        return await channel.reader.read_all()

    assert asyncio.run(talk()) == b"ab"


def test_created_in_an_async_handler(iii):
    @iii.function("channels::make")
    async def make(data):
        channel = await iii.create_channel()
        channel.writer.stream.end(b"made")
        return channel.reader

    answer = iii.trigger("channels::make").result(5)
    assert answer["direction"] == "read"


def test_shutdown_closes_what_was_left_open(url, make):
    first, second = make(url), make(url)
    channel = first.create_channel()
    reading = threading.Event()

    async def write():
        await channel.writer.write(b"begun")

    @second.function("channels::drain")
    async def drain(data):
        pieces = []
        async for piece in data:
            pieces.append(piece.decode())
            reading.set()
        return pieces

    asyncio.run(write())
    answer = second.trigger("channels::drain", channel.reader)
    assert reading.wait(5)
    first.shutdown()
    assert answer.result(5) == ["begun"]


def test_writing_where_nobody_reads_is_told(iii, caplog):
    channel = iii.create_channel()

    async def talk():
        channel.writer.ref.access_key = "wrong"
        with pytest.raises(IIIInvocationError, match="channel_unavailable"):
            await channel.writer.write(b"x")

    asyncio.run(talk())
    channel.writer.send_message("x")
    until_sync(lambda: "writing to a channel failed" in caplog.text)


def test_answers_to_http_requests(engine_process: EngineProcess, make):
    iii = make(engine_process.url)

    @http
    async def stream(request, response):
        if request.query_params.get("plain"):
            return ApiResponse(statusCode=201, body={"read": request.method})
        body = await request.request_body.read_all()
        await response.status(206)
        await response.headers({"content-type": "text/plain"})
        response.stream.write(b"got ")
        response.stream.end(body)
        return None

    iii.register_function("channels::http", stream)
    iii.register_trigger("http", "channels::http", {"api_path": "/channels", "http_method": "POST"})
    iii.list_triggers().result(5)
    address = f"{engine_process.http_url}/channels"
    answer = httpx2.post(address, content=b"raw bytes")
    assert (answer.status_code, answer.text) == (206, "got raw bytes")
    assert answer.headers["content-type"] == "text/plain"
    answer = httpx2.post(f"{address}?plain=1")
    assert (answer.status_code, answer.json()) == (201, {"read": "POST"})
