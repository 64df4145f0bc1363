from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.support.http_server import Server

from iii_engine.net.http_limits import HttpLimits


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Any]]:
    servers: list[Server] = []

    async def make_server(**limits: Any) -> Server:
        server = Server(HttpLimits(**limits))
        server.port = await server.listener.open("127.0.0.1", 0)
        servers.append(server)
        return server

    yield make_server
    for server in servers:
        for writer in server.writers:
            writer.close()
        await server.listener.close(0.1)


@pytest.fixture
async def server(make: Callable[..., Any]) -> Server:
    made: Server = await make()
    return made
