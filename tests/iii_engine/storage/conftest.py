"""The stores that the shared tests run over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iii_engine.storage.base import Store
from iii_engine.storage.embedded import EmbeddedStore
from iii_engine.storage.memory import MemoryStore


@pytest.fixture(params=["memory", "embedded"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    memory = request.param == "memory"
    made: Store = MemoryStore() if memory else EmbeddedStore(tmp_path / "store.db")
    await made.open()
    yield made
    await made.close()
