"""Bytes both ways through channels, with the in-process ends that a worker's socket stands for."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.support.waiting import until

from iii_engine.core.channel import Channel

NULL = b"null"


class Port:
    """One end of a channel inside this process."""

    def __init__(self) -> None:
        self.frames: list[tuple[bool, bytes]] = []
        self.code = 0
        self.paused = False
        self.changed = asyncio.Event()

    def deliver(self, text: bool, data: bytes) -> None:
        self.frames.append((text, data))

    def end(self, code: int) -> None:
        self.code = code
        self.changed.set()

    def pause(self) -> None:
        self.paused = True
        self.changed.set()

    def resume(self) -> None:
        self.paused = False
        self.changed.set()


def open_end(site: Any, ref: dict[str, str]) -> tuple[Channel, Port]:
    channel = site.engine.channels.find(ref["channel_id"], ref["access_key"], ref["direction"])
    assert channel is not None
    port = Port()
    attach = channel.attach_reader if ref["direction"] == "read" else channel.attach_writer
    assert attach(port)
    return channel, port


def control(channel: Channel, **fields: object) -> None:
    channel.write(True, msgspec.json.encode(fields))


async def read_until(reader: asyncio.StreamReader, mark: bytes) -> bytes:
    return await asyncio.wait_for(reader.readuntil(mark), 5)


GET = b"GET /s HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_modules_case_40_body_that_is_not_json_comes_through_the_channel(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h", "POST")
    task = asyncio.ensure_future(
        site.client.post("/s", content=b"abc", headers={"content-type": "text/plain"})
    )
    call = await asyncio.wait_for(calls.get(), 5)
    payload = msgspec.json.decode(call.data)
    assert payload["body"] is None
    _, port = open_end(site, payload["request_body"])
    await asyncio.wait_for(port.changed.wait(), 5)
    assert b"".join(data for _, data in port.frames) == b"abc"
    assert port.code == 1000
    call.reply(b"1")
    assert (await task).json() == 1
    assert len(site.engine.channels) == 0


async def test_channel_of_a_json_request_is_empty_and_closed(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h", "POST")
    task = asyncio.ensure_future(site.client.post("/s", json={"a": 1}))
    call = await asyncio.wait_for(calls.get(), 5)
    _, port = open_end(site, msgspec.json.decode(call.data)["request_body"])
    assert (port.frames, port.code) == ([], 1000)
    call.reply(b"1")
    await task


async def test_large_upload_waits_for_its_reader(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h", "POST")
    body = bytes(range(256)) * 4096 * 20

    async def pieces() -> Any:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    task = asyncio.ensure_future(site.client.post("/s", content=pieces()))
    call = await asyncio.wait_for(calls.get(), 5)
    _, port = open_end(site, msgspec.json.decode(call.data)["request_body"])
    await asyncio.wait_for(port.changed.wait(), 10)
    assert b"".join(data for _, data in port.frames) == body
    assert max(len(data) for _, data in port.frames) <= 64 * 1024
    call.reply(b"1")
    assert (await task).status_code == 200


async def test_modules_case_47_streamed_answer(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    reader, _writer = await site.connect(GET)
    call = await asyncio.wait_for(calls.get(), 5)
    channel, _ = open_end(site, msgspec.json.decode(call.data)["response"])
    control(channel, type="set_status", status_code=202)
    control(channel, type="set_headers", headers={"Content-Type": "text/event-stream"})
    channel.write(False, b"data: 1\n\n")
    head = await read_until(reader, b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 202 Accepted\r\n")
    for line in (
        b"content-type: text/event-stream",
        b"cache-control: no-cache",
        b"x-accel-buffering: no",
        b"transfer-encoding: chunked",
    ):
        assert line in head
    assert await read_until(reader, b"data: 1\n\n\r\n") == b"9\r\ndata: 1\n\n\r\n"
    channel.write(False, b"data: 2\n\n")
    assert await read_until(reader, b"2\n\n\r\n") == b"9\r\ndata: 2\n\n\r\n"
    control(channel, type="set_status", status_code=500)  # too late: ignored
    call.reply(NULL)
    channel.write(False, b"data: 3\n\n")
    channel.finish()
    rest = await read_until(reader, b"0\r\n\r\n")
    assert rest == b"9\r\ndata: 3\n\n\r\n0\r\n\r\n"
    assert len(site.engine.channels) == 0


async def test_modules_case_48_impossible_status_is_ignored(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    task = asyncio.ensure_future(site.client.get("/s"))
    call = await asyncio.wait_for(calls.get(), 5)
    channel, _ = open_end(site, msgspec.json.decode(call.data)["response"])
    control(channel, type="set_status", status_code=700)
    channel.write(True, b"not json")
    channel.write(False, b"x")
    channel.finish()
    call.reply(NULL)
    answer = await task
    assert (answer.status_code, answer.content) == (200, b"x")


@pytest.mark.parametrize(
    "text", [b"[" * 5_000, b"[" * 100_000, b'{"type":"\\ud800"}', b"\xff", b"7"]
)
async def test_unreadable_control_frames_are_ignored(site: Any, text: bytes) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    task = asyncio.ensure_future(site.client.get("/s"))
    call = await asyncio.wait_for(calls.get(), 5)
    channel, _ = open_end(site, msgspec.json.decode(call.data)["response"])
    control(channel, type="set_status", status_code=202)
    channel.write(True, text)
    channel.write(True, b'{"type":"set_headers","headers":%b}' % text)
    channel.write(False, b"x")
    channel.finish()
    call.reply(NULL)
    answer = await task
    assert (answer.status_code, answer.content) == (202, b"x")


async def test_result_before_the_first_byte_is_the_answer(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    task = asyncio.ensure_future(site.client.get("/s"))
    call = await asyncio.wait_for(calls.get(), 5)
    channel, port = open_end(site, msgspec.json.decode(call.data)["response"])
    control(channel, type="set_status", status_code=202)
    call.reply(b'{"status_code":201}')
    assert (await task).status_code == 201
    assert port.code == 1000


async def test_null_with_a_connected_writer_waits(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    task = asyncio.ensure_future(site.client.get("/s"))
    call = await asyncio.wait_for(calls.get(), 5)
    channel, _ = open_end(site, msgspec.json.decode(call.data)["response"])
    call.reply(NULL)
    control(channel, type="set_status", status_code=404)
    channel.finish()
    answer = await task
    assert (answer.status_code, answer.content) == (404, b"")


async def test_null_and_a_writer_that_never_writes_times_out(make_site: Any) -> None:
    site = await make_site(default_timeout=100)
    calls = site.slow("h")
    site.route("/s", "h")
    task = asyncio.ensure_future(site.client.get("/s"))
    call = await asyncio.wait_for(calls.get(), 5)
    _, port = open_end(site, msgspec.json.decode(call.data)["response"])
    call.reply(NULL)
    assert (await task).status_code == 504
    assert port.code == 1000


async def test_failure_before_the_first_byte_is_an_error(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    task = asyncio.ensure_future(site.client.get("/s"))
    call = await asyncio.wait_for(calls.get(), 5)
    _, port = open_end(site, msgspec.json.decode(call.data)["response"])
    call.fail("boom", "no")
    assert (await task).status_code == 500
    assert port.code == 1000


async def test_failure_after_the_first_byte_breaks_the_answer_off(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    reader, _writer = await site.connect(GET)
    call = await asyncio.wait_for(calls.get(), 5)
    channel, _ = open_end(site, msgspec.json.decode(call.data)["response"])
    channel.write(False, b"x")
    await read_until(reader, b"1\r\nx\r\n")
    call.fail("boom", "no")
    channel.finish()
    try:
        rest = await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        rest = b""
    assert b"0\r\n\r\n" not in rest


async def test_stream_outlives_the_timeout_once_begun(make_site: Any) -> None:
    site = await make_site(default_timeout=300)
    calls = site.slow("h")
    site.route("/s", "h")
    task = asyncio.ensure_future(site.client.get("/s"))
    call = await asyncio.wait_for(calls.get(), 5)
    channel, _ = open_end(site, msgspec.json.decode(call.data)["response"])
    channel.write(False, b"a")
    await until(lambda: call.answered)
    channel.write(False, b"b")
    channel.finish()
    assert (await task).content == b"ab"


async def test_client_that_goes_closes_both_channels(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h", "POST")
    _reader, writer = await site.connect(
        b"POST /s HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 9\r\n\r\nabc"
    )
    call = await asyncio.wait_for(calls.get(), 5)
    payload = msgspec.json.decode(call.data)
    _, body = open_end(site, payload["request_body"])
    _, response = open_end(site, payload["response"])
    writer.close()
    await asyncio.wait_for(body.changed.wait(), 5)
    await asyncio.wait_for(response.changed.wait(), 5)
    assert len(site.engine.channels) == 0
    call.reply(b"1")  # dropped
    assert site.module.gateway.admission.active == 0


async def test_slow_client_holds_the_writer(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    reader, _writer = await site.connect(GET)
    call = await asyncio.wait_for(calls.get(), 5)
    channel, port = open_end(site, msgspec.json.decode(call.data)["response"])
    sent = 0
    while not port.paused:
        channel.write(False, b"~" * 65536)
        sent += 65536
        assert sent < 256 * 1024 * 1024
        await asyncio.sleep(0)
    channel.finish()
    call.reply(NULL)
    body = await asyncio.wait_for(_drain(reader), 20)
    assert body.count(b"~") == sent


async def _drain(reader: asyncio.StreamReader) -> bytes:
    parts = bytearray()
    while not parts.endswith(b"\r\n0\r\n\r\n"):
        parts += await reader.read(1 << 20)
    return bytes(parts)


async def test_head_of_a_stream_has_no_body(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    reader, _writer = await site.connect(
        b"HEAD /s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    call = await asyncio.wait_for(calls.get(), 5)
    channel, _ = open_end(site, msgspec.json.decode(call.data)["response"])
    channel.write(False, b"x")
    channel.finish()
    call.reply(NULL)
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.endswith(b"\r\n\r\n")


async def test_http_1_0_gets_a_stream_that_ends_with_the_connection(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    reader, _writer = await site.connect(b"GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    call = await asyncio.wait_for(calls.get(), 5)
    channel, _ = open_end(site, msgspec.json.decode(call.data)["response"])
    channel.write(False, b"xyz")
    channel.finish()
    call.reply(NULL)
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.endswith(b"\r\n\r\nxyz")
    assert b"chunked" not in answer


async def test_wrong_key_opens_nothing(site: Any) -> None:
    calls = site.slow("h")
    site.route("/s", "h")
    task = asyncio.ensure_future(site.client.get("/s"))
    call = await asyncio.wait_for(calls.get(), 5)
    payload = msgspec.json.decode(call.data)
    find = site.engine.channels.find
    response, body = payload["response"], payload["request_body"]
    assert find(response["channel_id"], body["access_key"], "write") is None
    assert find(response["channel_id"], "", "read") is None
    assert find(body["channel_id"], "", "write") is None
    call.reply(b"1")
    await task


async def test_multipart_arrives_as_it_was_sent(site: Any) -> None:
    calls = site.slow("form")
    site.route("/parts", "form", "POST")
    files = {"file": ("a.bin", bytes(range(256)), "application/octet-stream")}
    task = asyncio.ensure_future(site.client.post("/parts", data={"n": "1"}, files=files))
    call = await asyncio.wait_for(calls.get(), 5)
    payload = msgspec.json.decode(call.data)
    assert payload["body"] is None
    boundary = payload["headers"]["content-type"].partition("boundary=")[2]
    _, port = open_end(site, payload["request_body"])
    await asyncio.wait_for(port.changed.wait(), 5)
    whole = b"".join(data for _, data in port.frames)
    assert whole.startswith(f"--{boundary}\r\n".encode())
    assert whole.rstrip().endswith(f"--{boundary}--".encode())
    assert bytes(range(256)) in whole
    call.reply(b"1")
    assert (await task).status_code == 200
