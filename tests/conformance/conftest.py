"""Published clients beside an engine in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.clients import Start, bound, names
from tests.support.engine import RunningEngine
from tests.support.published import PublishedClient, published_client
from tests.support.relay import Relay
from tests.support.waiting import until


@pytest.fixture
async def start(engine: RunningEngine, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a client by its kind; its functions are there when this returns."""
    running: list[PublishedClient] = []

    async def start(kind: str, url: str = "", name: str | None = None) -> PublishedClient:
        client = published_client(kind, url or engine.url, tmp_path, name)
        running.append(client)
        await until(lambda: f"{kind}::events" in engine.core.registry, "it has registered", 30)
        await until(lambda: f"{kind}::on-state" in bound(engine), "it has bound its triggers")
        if name is None:
            await until(lambda: names(engine).count(kind) == 1, "it has said who it is")
        return client

    yield start
    codes = await asyncio.gather(*(asyncio.to_thread(client.close) for client in running))
    assert set(codes) <= {0}


@pytest.fixture
async def relay(engine: RunningEngine) -> AsyncIterator[Relay]:
    """A network to the engine. Ask for it before `start`, so that clients end first."""
    async with Relay(*engine.app.address) as relay:
        yield relay
