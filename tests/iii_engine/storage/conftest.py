"""The stores that the shared tests run over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iii_engine.storage.base import Store
from iii_engine.storage.embedded import EmbeddedStore
from iii_engine.storage.memory import MemoryStore
from iii_engine.storage.redis.names import Names
from iii_engine.storage.redis.remote import RedisRemote
from iii_engine.storage.remote import RemoteStore


def make_store(kind: str, request: pytest.FixtureRequest) -> Store:
    """Not opened yet; on a server of the test's own where it needs one."""
    match kind:
        case "memory":
            return MemoryStore()
        case "embedded":
            folder: Path = request.getfixturevalue("tmp_path")
            return EmbeddedStore(folder / "store.db")
        case "redis":
            server = request.getfixturevalue("redis_server")
            return RemoteStore(RedisRemote(server.url, Names("", "test:")))
    raise ValueError(kind)


@pytest.fixture(params=["memory", "embedded", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    made = make_store(request.param, request)
    await made.open()
    yield made
    await made.close()
