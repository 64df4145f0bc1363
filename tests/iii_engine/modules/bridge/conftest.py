from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.support.bridges import Start
from tests.support.engine import RunningEngine


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again at once."""
    monkeypatch.setattr("iii_engine.modules.bridge.link.FIRST_PAUSE", 0.05)


@pytest.fixture
async def bridged(engine: RunningEngine) -> AsyncIterator[Start]:
    """Start an engine with a bridge to `engine`, which is the remote one."""
    async with AsyncExitStack() as stack:

        async def start(name: str = "iii-bridge", **options: Any) -> RunningEngine:
            local = RunningEngine({name: {"url": engine.url, **options}})
            await local.start()
            stack.push_async_callback(local.stop)
            return local

        yield start
