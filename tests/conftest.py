"""Fixtures for everybody: real engines."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from tests.support.engine import EngineProcess, RunningEngine
from tests.support.servers import NatsServer, RabbitServer, RedisServer

# A slow machine is no failure, and a failure must come back in the next run.
settings.register_profile(
    "house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that the programs run on."""
    return {"uvloop": uvloop.new_event_loop}


#: Tests that have left a transport open.
leaked: list[str] = []


def pytest_warning_recorded(warning_message: warnings.WarningMessage, nodeid: str) -> None:
    if str(warning_message.message).startswith("unclosed resource"):
        leaked.append(nodeid)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Such a test fails, like one with any other warning."""
    if leaked and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test alone, running."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.close()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A NATS server with JetStream of this test alone, running."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def shared_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """The RabbitMQ of this test process; tests take `rabbitmq_server`."""
    server = RabbitServer(tmp_path_factory.mktemp("rabbitmq"))
    yield server
    server.close()


@pytest.fixture
def rabbitmq_server(shared_rabbitmq: RabbitServer) -> RabbitServer:
    """A running RabbitMQ with what earlier tests left in it: use names of your own."""
    shared_rabbitmq.heal()
    return shared_rabbitmq
