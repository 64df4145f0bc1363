"""A real engine that may call endpoints of this machine, and one that may not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker

RELAXED = {
    "url_allowlist": ["localhost", "127.0.0.1"],
    "block_private_ips": False,
    "require_https": False,
}


@pytest.fixture
async def relaxed() -> AsyncIterator[RunningEngine]:
    running = RunningEngine({"iii-http-functions": {"security": RELAXED}})
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def strict() -> AsyncIterator[RunningEngine]:
    running = RunningEngine({"iii-http-functions": {"security": {"require_https": False}}})
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def default() -> AsyncIterator[RunningEngine]:
    running = RunningEngine({"iii-http-functions": {}})
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def worker(relaxed: RunningEngine) -> AsyncIterator[RawWorker]:
    async with RawWorker(relaxed.url) as raw:
        yield raw
