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


async def test_worker_that_dies_is_a_500(
    engine_process: EngineProcess, client: httpx2.AsyncClient
) -> None:
    async with RawWorker(engine_process.url) as worker:
        await worker.register("h")
        await worker.register_trigger("api", "h", {"api_path": "a/:id"})
        request = asyncio.ensure_future(client.get("/a/1"))
        await worker.invoked("h")
        await worker.close()
        answer = await request
        assert (answer.status_code, answer.json()["error"]) == (500, "Invocation stopped")
    missing = await client.get("/a/1")
    assert missing.status_code == 404


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
