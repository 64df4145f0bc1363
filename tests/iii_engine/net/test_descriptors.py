"""More connections than the process may have descriptors."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from tests.support.engine import EngineProcess
from tests.support.hostile import Pair
from tests.support.waiting import until_sync

SPARE = 24
TOO_MANY = 60

Port = Callable[[EngineProcess], int]


def number(url: str) -> int:
    return int(url.rpartition(":")[2])


def processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        spent = stat.read().rpartition(")")[2].split()
    return (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")


def answers(port: int) -> bool:
    """Whether a new connection is answered; what, does not matter."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        try:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 ")
        except OSError:
            return False


@pytest.mark.promise(
    "Connections",
    "Out of descriptors, connected peers go on; the engine logs that once, and accepts later.",
)
@pytest.mark.parametrize(
    "port",
    [
        pytest.param(lambda engine: engine.port, id="workers"),
        pytest.param(lambda engine: number(engine.http_url), id="http"),
        pytest.param(lambda engine: number(engine.stream_url), id="streams"),
    ],
)
def test_a_full_process_waits_with_new_connections(
    engine_process: EngineProcess, port: Port
) -> None:
    engine, at = engine_process, port(engine_process)
    with Pair(engine.port) as pair, ExitStack() as stack:
        until_sync(lambda: answers(at))
        limit = max(map(int, os.listdir(f"/proc/{engine.pid}/fd"))) + SPARE
        resource.prlimit(engine.pid, resource.RLIMIT_NOFILE, (limit, limit))
        for _ in range(TOO_MANY):
            stack.enter_context(socket.create_connection(("127.0.0.1", at)))
        until_sync(lambda: f"port {at}" in engine.output)
        logged, spent, began = engine.output, processor_seconds(engine.pid), time.monotonic()
        while time.monotonic() < began + 1.5:
            assert pair.works()
            time.sleep(0.1)
        assert processor_seconds(engine.pid) - spent < 0.5
        assert engine.output == logged
        assert logged.count(f"port {at}") == 1
        stack.close()
        until_sync(lambda: answers(at))
        until_sync(lambda: "accepts connections again" in engine.output)
        assert pair.works()
