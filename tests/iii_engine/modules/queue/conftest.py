from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.queue_desk import QueueDesk, queue_desk
from tests.support.queue_engine import BRIDGE
from tests.support.servers import Server


@pytest.fixture
async def desk() -> AsyncIterator[QueueDesk]:
    async with queue_desk() as desk:
        yield desk


@pytest.fixture(params=["nats", "redis", "rabbitmq"])
def server(request: pytest.FixtureRequest) -> Server:
    """Where several engines keep their queues, running."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture(params=["builtin", "nats", "redis", "rabbitmq", BRIDGE])
def place(request: pytest.FixtureRequest) -> Server | str | None:
    """The server that keeps the jobs, running; None for the engine itself, or another engine."""
    if request.param == BRIDGE:
        return BRIDGE
    if request.param == "builtin":
        return None
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server
