from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.desk import Desk, running
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.stream_client import StreamClient

from iii_engine.modules.stream import StreamModule


@pytest.fixture
async def worker(engine: RunningEngine) -> AsyncIterator[RawWorker]:
    async with RawWorker(engine.url) as worker:
        yield worker


@pytest.fixture
async def client(engine: RunningEngine) -> AsyncIterator[StreamClient]:
    async with StreamClient(engine.stream_url) as client:
        yield client


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running(StreamModule, {"port": 0}, trigger_type="stream") as desk:
        yield desk
