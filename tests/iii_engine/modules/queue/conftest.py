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


@pytest.fixture(params=["builtin", "nats", "redis", "rabbitmq"])
def place(request: pytest.FixtureRequest) -> Server | None:
    """The server that keeps the jobs, running; None for the engine itself."""
    return place_of(request)


@pytest.fixture(params=["builtin", "nats", "redis", "rabbitmq", BRIDGE])
def anywhere(request: pytest.FixtureRequest) -> Server | str | None:
    """The same, or another engine, which keeps the jobs but has no functions for single ones."""
    return BRIDGE if request.param == BRIDGE else place_of(request)


def place_of(request: pytest.FixtureRequest) -> Server | None:
    server: Server | None = None
    if request.param != "builtin":
        server = request.getfixturevalue(f"{request.param}_server")
    return server
