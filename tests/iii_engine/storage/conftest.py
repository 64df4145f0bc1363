"""The stores that the shared tests run over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.iii_engine.storage.writing import opened
from tests.support.servers import RedisServer

from iii_engine.storage.base import Store
from iii_engine.storage.embedded import EmbeddedStore
from iii_engine.storage.memory import MemoryStore
from iii_engine.storage.nats.remote import NatsRemote
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
        case "nats":
            server = request.getfixturevalue("nats_server")
            return RemoteStore(NatsRemote(server.url, "test"))
    raise ValueError(kind)


#: Stores whose transactions may span records.
JOINT = ["memory", "embedded", "redis"]


@pytest.fixture(params=[*JOINT, "nats"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Every store there is."""
    async with opened(make_store(request.param, request)) as made:
        yield made


@pytest.fixture(params=JOINT)
async def joint_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with opened(make_store(request.param, request)) as made:
        yield made


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    """Another program at the same server as `redis_store`."""
    async with Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
async def redis_store(redis_server: RedisServer) -> AsyncIterator[RemoteStore]:
    """The scopes of the state module."""
    remote = RedisRemote(redis_server.url, Names("state/", "state:"))
    async with opened(RemoteStore(remote)) as made:
        yield made
