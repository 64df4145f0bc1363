"""Other options while clients are connected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.stream_client import StreamClient, upgrade

from iii_engine.modules.stream import StreamModule
from iii_engine.modules.stream.options import StreamOptions


async def change(engine: RunningEngine, **options: Any) -> None:
    module = engine.app.modules["iii-stream"]
    assert isinstance(module, StreamModule)
    before = msgspec.to_builtins(module.options)
    before["port"] = module.port
    module.options = msgspec.convert(before, StreamOptions)
    assert await module.reconfigure(msgspec.convert({**before, **options}, StreamOptions))


@pytest.fixture
async def client(engine: RunningEngine) -> AsyncIterator[StreamClient]:
    async with StreamClient(engine.stream_url) as client:
        await client.join("chat", "g")
        yield client


async def put(worker: RawWorker, data: object) -> None:
    where = {"stream_name": "chat", "group_id": "g", "item_id": "1"}
    await worker.call("stream::set", {**where, "data": data})


async def test_other_origins_apply_to_new_clients_only(
    engine: RunningEngine, worker: RawWorker, client: StreamClient
) -> None:
    page = {"Origin": "https://a.example"}
    assert await upgrade(engine.stream_url, page) == 403
    await change(engine, allowed_origins=["https://a.example"])
    assert await upgrade(engine.stream_url, page) == 101
    await put(worker, 1)
    assert await client.event() == {"type": "create", "data": 1}


async def test_another_port_sends_clients_away(
    engine: RunningEngine, worker: RawWorker, client: StreamClient
) -> None:
    old = engine.stream_url
    await change(engine, port=0)
    assert engine.stream_url != old
    assert await client.close_code() == 1012
    with pytest.raises(OSError):  # nobody listens
        await upgrade(old)
    async with StreamClient(engine.stream_url) as back:
        await back.join("chat", "g")
        await put(worker, 1)
        assert await back.event() == {"type": "create", "data": 1}


async def test_a_port_that_is_taken_changes_nothing(
    engine: RunningEngine, worker: RawWorker, client: StreamClient
) -> None:
    taken = int(engine.http_url.rpartition(":")[2])
    with pytest.raises(OSError):  # it is in use
        await change(engine, port=taken)
    await put(worker, 1)
    assert await client.event() == {"type": "create", "data": 1}
    assert await upgrade(engine.stream_url) == 101


async def test_with_another_auth_function_everybody_is_judged_anew(
    engine: RunningEngine, worker: RawWorker, client: StreamClient
) -> None:
    await worker.register("auth")
    await change(engine, auth_function="auth")
    assert await client.close_code() == 1012
    opening = asyncio.create_task(upgrade(engine.stream_url))
    await worker.answer(await worker.invoked("auth"), {"unauthorized": True})
    assert await opening == 401
