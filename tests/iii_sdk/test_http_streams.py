"""Answers of HTTP functions that come piece by piece."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.envelopes import request
from tests.support.waiting import until

from iii_sdk import Bus, Conflict, Event, EventStream, Worker, http
from iii_sdk.envelope import KEY_VARIABLE


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "right")


def streaming_worker() -> Worker:
    worker = Worker("tokens", headers={"x-worker": "tokens"})

    @worker.function("t::plain", http("GET", "/plain"))
    async def plain(count: int = 2):
        for number in range(count):
            yield {"n": number}

    @worker.function("t::done", http("GET", "/done"))
    async def done() -> EventStream:
        async def items():
            yield "two\nlines"
            yield Event({"a": 1}, event="token", id="1")

        return EventStream(items(), done="[DONE]", headers={"x-own": "1"})

    @worker.function("t::early", http("GET", "/early"))
    async def early():
        raise Conflict("before the first item")
        yield

    @worker.function("t::late", http("GET", "/late"))
    async def late():
        yield "one"
        raise RuntimeError("secret")

    return worker


async def streamed(engine, function_id: str, path: str) -> tuple[Any, list[dict[str, Any]], bytes]:
    """The result, the control messages and the bytes of a streamed answer."""
    refs = engine.new_channel()
    pipe = engine.pipes[refs["writer"]["channel_id"]]
    result = await engine.call(function_id, request(path, response=refs["writer"]))
    async with asyncio.timeout(5):
        if result is None:
            await pipe.done.wait()
    controls = [json.loads(data) for kind, data in pipe.frames if kind.value == 1]
    return result, controls, b"".join(data for kind, data in pipe.frames if kind.value == 2)


async def test_an_async_generator_streams_events(engine, bus, serve):
    await serve(streaming_worker())
    result, controls, body = await streamed(engine, "t::plain", "/plain")
    assert result is None
    assert controls == [
        {"type": "set_status", "status_code": 200},
        {
            "type": "set_headers",
            "headers": {"x-worker": "tokens", "content-type": "text/event-stream; charset=utf-8"},
        },
    ]
    assert body == b'data: {"n":0}\n\ndata: {"n":1}\n\n'
    assert await bus.call("t::plain", 3) == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_named_events_and_a_last_line(engine, bus, serve):
    await serve(streaming_worker())
    _, controls, body = await streamed(engine, "t::done", "/done")
    assert controls[1]["headers"]["x-own"] == "1"
    assert body == (
        b'data: two\ndata: lines\n\nevent: token\nid: 1\ndata: {"a":1}\n\ndata: [DONE]\n\n'
    )
    assert await bus.call("t::done") == ["two\nlines", {"a": 1}]


async def test_an_error_before_the_first_item_is_a_plain_answer(engine, serve):
    await serve(streaming_worker())
    result, controls, _ = await streamed(engine, "t::early", "/early")
    assert result["status_code"] == 409
    assert controls == []


async def test_an_error_later_is_the_last_event(engine, serve, caplog):
    await serve(streaming_worker())
    _, _, body = await streamed(engine, "t::late", "/late")
    assert body == (b'data: one\n\ndata: {"error":"internal server error","code":"internal"}\n\n')
    assert "secret" in caplog.text


async def test_a_stream_without_the_key_is_refused(engine, serve):
    await serve(streaming_worker())
    answer = await engine.call("t::plain", request("/plain", headers={}))
    assert answer["status_code"] == 401


async def test_the_source_stops_when_the_client_leaves(engine, serve):
    worker = Worker("endless")
    closed = asyncio.Event()

    @worker.function("e::go", http("GET", "/go"))
    async def go(bus: Bus):
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.002)
        finally:
            closed.set()

    await serve(worker)
    refs = engine.new_channel()
    pipe = engine.pipes[refs["writer"]["channel_id"]]
    call = asyncio.create_task(engine.call("e::go", request("/go", response=refs["writer"])))
    await until(lambda: pipe.frames)
    async with asyncio.timeout(5):
        pipe.ends["write"].transport.disconnect()
        await closed.wait()
        assert await call is None


async def test_the_source_stops_before_its_first_item_when_the_client_leaves(engine, serve):
    worker = Worker("silent")
    closed = asyncio.Event()

    @worker.function("s::go", http("GET", "/go"))
    async def go():
        try:
            await asyncio.Event().wait()
            yield "never"
        finally:
            closed.set()

    await serve(worker)
    refs = engine.new_channel()
    pipe = engine.pipes[refs["writer"]["channel_id"]]
    call = asyncio.create_task(engine.call("s::go", request("/go", response=refs["writer"])))
    await until(lambda: "write" in pipe.ends)
    async with asyncio.timeout(5):
        pipe.ends["write"].transport.disconnect()
        await closed.wait()
        assert await call is None
