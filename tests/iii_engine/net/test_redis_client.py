"""What failures of Redis are called."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.servers import RedisServer

from iii_engine.net.redis_client import told
from iii_engine.storage.base import ServerLost


async def test_a_connection_that_ended_just_before_is_a_lost_server(
    redis_server: RedisServer,
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", redis_server.port)
    writer.transport.abort()
    await asyncio.sleep(0)
    with pytest.raises(ServerLost, match="cannot be reached"), told(redis_server.url):
        writer.writelines([b"PING\r\n"])


def test_other_mistakes_are_not_blamed_on_the_server() -> None:
    with pytest.raises(RuntimeError, match="mine"), told("redis://localhost"):
        raise RuntimeError("mine")
