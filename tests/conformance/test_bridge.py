"""The published clients on two engines with a bridge between them, each a program of its own.

Numbers are cases of the engine-modules spec.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import EngineProcess
from tests.support.published import PublishedClient, node_client, python_client
from tests.support.waiting import until_sync

MAKE = {"python": python_client, "node": node_client}

FORWARD = [
    {"local_function": "r.get", "remote_function": "state::get"},
    {"local_function": "r.soon", "remote_function": "state::get", "timeout_ms": 200},
    {"local_function": "r.echo", "remote_function": "python::echo"},
    {"local_function": "r.fail", "remote_function": "python::fail"},
]
EXPOSE = [{"local_function": "node::echo", "remote_function": "exposed::echo"}]


@pytest.fixture
def local(engine_process: EngineProcess, tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine with a bridge to `engine_process`, the remote one."""
    options = {"url": engine_process.url, "forward": FORWARD, "expose": EXPOSE}
    workers = [
        {"name": "iii-worker-manager", "config": {"host": "127.0.0.1", "port": 0}},
        {"name": "iii-bridge", "config": options},
    ]
    folder = tmp_path / "local"
    folder.mkdir()
    process = EngineProcess(folder, json.dumps({"workers": workers}))
    process.start()
    yield process
    process.close()


@pytest.fixture
def clients(
    local: EngineProcess, engine_process: EngineProcess, tmp_path: Path
) -> Iterator[dict[str, PublishedClient]]:
    """A Python client on the remote engine, a Node client on the local one."""
    running = {
        "python": python_client(engine_process.url, "python-worker", tmp_path),
        "node": node_client(local.url, "node-worker", tmp_path),
    }
    for language, client in running.items():
        until_sync(lambda: f"{language}::echo" in functions(client))  # noqa: B023
    yield running
    assert {client.close() for client in running.values()} <= {0}


def functions(client: PublishedClient) -> list[str]:
    answer = client.call("engine::functions::list", {})
    return [row["function_id"] for row in answer.get("result", {}).get("functions", [])]


@pytest.mark.parametrize("language", ["python", "node"])
def test_modules_case_121_published_clients_use_a_forwarded_function(
    language: str, local: EngineProcess, engine_process: EngineProcess, tmp_path: Path
) -> None:
    near = MAKE[language](local.url, "near", tmp_path)
    far = MAKE[language](engine_process.url, "far", tmp_path)
    try:
        record = {"scope": "s", "key": "k"}
        until_sync(lambda: "result" in far.call("state::set", {**record, "value": [1, "ä"]}))
        assert near.call("r.get", record) == {"result": [1, "ä"]}
        request = {"function_id": "state::get", "data": record}
        assert near.call("bridge.invoke", request) == {"result": [1, "ä"]}
        engine_process.kill()
        failed = near.call("r.soon", record)["error"]
        assert failed["code"] == "bridge_error"
        engine_process.start()
        until_sync(lambda: near.call("r.soon", record) == {"result": [1, "ä"]})
    finally:
        near.close()
        far.close()


def test_workers_of_both_engines_call_each_other(clients: dict[str, PublishedClient]) -> None:
    near, far = clients["node"], clients["python"]
    assert without_caller(near.call("r.echo", {"deep": [1, None]})) == {"deep": [1, None]}
    assert near.call("r.echo", [1, "ä", None]) == {"result": [1, "ä", None]}
    until_sync(lambda: "exposed::echo" in functions(far))
    assert without_caller(far.call("exposed::echo", {"n": 2})) == {"n": 2}
    error = near.call("r.fail", {})["error"]
    assert error["code"] == "bridge_error"
    assert "remote error (invocation_failed)" in error["message"]


def without_caller(answer: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = answer["result"]
    result.pop("_caller_worker_id", None)
    return result


def test_what_is_exposed_comes_back_after_a_kill_of_the_remote_engine(
    clients: dict[str, PublishedClient], engine_process: EngineProcess
) -> None:
    far = clients["python"]
    until_sync(lambda: "exposed::echo" in functions(far))
    engine_process.kill()
    engine_process.start()
    until_sync(lambda: far.call("exposed::echo", [7]) == {"result": [7]})
    until_sync(lambda: clients["node"].call("r.echo", [8]) == {"result": [8]})
