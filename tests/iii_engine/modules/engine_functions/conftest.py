"""A worker that has told its metadata, and what it told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker

METADATA: dict[str, Any] = {
    "runtime": "node",
    "version": "0.11.6",
    "name": "embedding",
    "os": "Linux",
    "pid": 4242,
    "isolation": "docker",
}


@pytest.fixture
async def worker(engine: RunningEngine) -> AsyncIterator[RawWorker]:
    """A connection without metadata."""
    async with RawWorker(engine.url) as worker:
        yield worker


@pytest.fixture
async def named(engine: RunningEngine) -> AsyncIterator[RawWorker]:
    """A connection that registered as `embedding`."""
    async with RawWorker(engine.url) as worker:
        assert await worker.call("engine::workers::register", METADATA) == {"success": True}
        yield worker
