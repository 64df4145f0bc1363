"""Fixtures for everybody: real engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.engine import EngineProcess, RunningEngine


@pytest.fixture
async def engine() -> AsyncIterator[RunningEngine]:
    """A real engine in this process, in memory, on free ports."""
    running = RunningEngine()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def engine_process(tmp_path: Path) -> Iterator[EngineProcess]:
    """A real engine as a program, started, with a durable store."""
    process = EngineProcess(tmp_path)
    process.start()
    yield process
    process.close()
