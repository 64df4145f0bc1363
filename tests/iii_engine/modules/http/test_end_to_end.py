"""HTTP to a worker on a real socket, in the engine as it is run (uvloop, program, signals)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from tests.support.engine import EngineProcess
from tests.support.raw_worker import RawWorker
from websockets.asyncio.client import ClientConnection, connect


async def open_channel(url: str, ref: dict[str, str]) -> ClientConnection:
    query = f"key={ref['access_key']}&dir={ref['direction']}"
    return await connect(f"{url}/ws/channels/{ref['channel_id']}?{query}", proxy=None)


@pytest.fixture
async def client(engine_process: EngineProcess) -> Any:
    async with httpx2.AsyncClient(base_url=engine_process.http_url, timeout=10) as made:
        yield made


async def test_streaming_both_ways_through_sockets(
    engine_process: EngineProcess, client: httpx2.AsyncClient
) -> None:
    body = bytes(range(256)) * 4096
    async with RawWorker(engine_process.url) as worker:
        await worker.register("h")
        await worker.register_trigger("http", "h", {"api_path": "/up", "http_method": "POST"})
        request = asyncio.ensure_future(
            client.post("/up", content=body, headers={"content-type": "x/y"})
        )
        call = await worker.invoked("h")
        upload = await open_channel(engine_process.url, call["data"]["request_body"])
        received = [frame async for frame in upload]
        assert b"".join(frame for frame in received if isinstance(frame, bytes)) == body
        download = await open_channel(engine_process.url, call["data"]["response"])
        await download.send('{"type":"set_status","status_code":206}')
        await download.send('{"type":"set_headers","headers":{"content-type":"x/z"}}')
        for start in range(0, len(body), 65536):
            await download.send(body[start : start + 65536])
        await download.close()
        await worker.answer(call)
        response = await request
        assert (response.status_code, response.headers["content-type"]) == (206, "x/z")
        assert response.content == body


async def test_worker_that_dies_is_unavailable_and_not_unknown(
    engine_process: EngineProcess, client: httpx2.AsyncClient
) -> None:
    config = {"api_path": "a/:id"}
    async with RawWorker(engine_process.url) as worker:
        await worker.register("h")
        await worker.register_trigger("api", "h", config)
        request = asyncio.ensure_future(client.get("/a/1"))
        await worker.invoked("h")
        await worker.close()
        answer = await request
    assert (answer.status_code, answer.json()["error"]) == (503, "Invocation stopped")
    assert answer.headers["retry-after"] == "1"
    gone = await client.get("/a/2")
    assert (gone.status_code, gone.headers["retry-after"]) == (503, "1")
    assert (await client.post("/a/2")).status_code == 404
    async with RawWorker(engine_process.url) as again:
        await again.register("h")
        trigger = await again.register_trigger("api", "h", config)
        request = asyncio.ensure_future(client.get("/a/3"))
        await again.answer(await again.invoked("h"), {"body": 3})
        assert (await request).json() == 3
        await again.send("unregistertrigger", id=trigger, trigger_type="api")
        await again.settle()
        assert (await client.get("/a/3")).status_code == 404
    assert (await client.get("/a/3")).status_code == 404


@pytest.mark.parametrize("begun", [True, False])
async def test_worker_killed_while_it_streams_breaks_the_answer_off(
    engine_process: EngineProcess, client: httpx2.AsyncClient, begun: bool
) -> None:
    async with RawWorker(engine_process.url) as worker:
        await worker.register("h")
        await worker.register_trigger("http", "h", {"api_path": "/s"})
        request = asyncio.ensure_future(client.get("/s"))
        call = await worker.invoked("h")
        channel = await open_channel(engine_process.url, call["data"]["response"])
        await channel.send('{"type":"set_status","status_code":206}')
        if begun:
            await channel.send(b"half of")
        await worker.settle()
        channel.transport.abort()
        if begun:
            with pytest.raises(httpx2.TransportError):
                await request
        worker.socket.transport.abort()
        if not begun:
            assert (await request).status_code == 503


async def test_shutdown_finishes_requests_under_way(
    engine_process: EngineProcess, client: httpx2.AsyncClient
) -> None:
    async with RawWorker(engine_process.url) as worker:
        await worker.register("h")
        await worker.register_trigger("http", "h", {"api_path": "/a"})
        request = asyncio.ensure_future(client.get("/a"))
        call = await worker.invoked("h")
        stopping = asyncio.create_task(asyncio.to_thread(engine_process.stop))
        await worker.answer(call, {"status_code": 201})
        assert (await request).status_code == 201
        assert await stopping == 0


async def test_many_clients_at_once(
    engine_process: EngineProcess, client: httpx2.AsyncClient
) -> None:
    async with RawWorker(engine_process.url) as worker:
        await worker.register("h")
        await worker.register_trigger("http", "h", {"api_path": "/a/:n"})

        async def serve() -> None:
            for _ in range(200):
                call = await worker.invoked("h")
                await worker.answer(call, {"body": call["data"]["path_params"]["n"]})

        serving = asyncio.create_task(serve())
        answers = await asyncio.gather(*(client.get(f"/a/{n}") for n in range(200)))
        await serving
        assert [answer.json() for answer in answers] == [str(n) for n in range(200)]
