"""The published clients 0.11.6, unchanged, on our engine: both register, call and are called.

Numbers are cases of the wire protocol §18.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import EngineProcess
from tests.support.published import PublishedClient, node_client, python_client
from tests.support.waiting import until_sync

MAKE = {"python": python_client, "node": node_client}

Start = Callable[[str], PublishedClient]


@pytest.fixture
def start(engine_process: EngineProcess, tmp_path: Path) -> Iterator[Start]:
    """Start a client by language; its functions are there when this returns."""
    running: list[PublishedClient] = []

    def start(language: str, name: str = "") -> PublishedClient:
        client = MAKE[language](engine_process.url, name or f"{language}-worker", tmp_path)
        running.append(client)
        until_sync(lambda: f"{language}::events" in functions(client), "it has registered")
        return client

    yield start
    codes = [client.close() for client in running]
    assert set(codes) <= {0}


def functions(client: PublishedClient) -> list[str]:
    answer = client.call("engine::functions::list", {})
    return [row["function_id"] for row in answer.get("result", {}).get("functions", [])]


def fetch(url: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(
        url,
        None if body is None else json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status, headers, response.read()


@pytest.mark.parametrize("language", ["python", "node"])
def test_it_calls_and_is_called(language: str, start: Start) -> None:
    client = start(language)
    assert client.call(f"{language}::echo", [1, "ä", None]) == {"result": [1, "ä", None]}
    worker = client.call("engine::workers::list", {})["result"]["workers"]
    (row,) = [w for w in worker if w["name"] == f"{language}-worker"]
    echoed = client.call(f"{language}::echo", {"x": 1})["result"]
    assert echoed == {"x": 1, "_caller_worker_id": row["id"]}  # case 24
    assert row["runtime"] == language
    assert row["version"] == "0.11.6"
    assert row["pid"] > 0
    assert f"{language}::relay" in row["functions"]  # case 16


@pytest.mark.parametrize("language", ["python", "node"])
def test_wire_case_26_errors_reach_the_caller(language: str, start: Start) -> None:
    client = start(language)
    failed = client.call(f"{language}::fail", {})["error"]
    assert failed["code"] == "invocation_failed"
    assert "it broke" in failed["message"]
    missing = client.call("no::body", {})["error"]
    assert missing["code"] == "function_not_found"
    assert "Function no::body not found" in missing["message"]


@pytest.mark.parametrize("language", ["python", "node"])
def test_wire_case_29_void_calls_return_at_once(language: str, start: Start) -> None:
    client = start(language)
    assert client.call(f"{language}::echo", {}, action="void") == {"result": None}
    assert client.call("no::body", {}, action="void") == {"result": None}


@pytest.mark.parametrize(("language", "other"), [("python", "node"), ("node", "python")])
def test_two_languages_call_each_other(language: str, other: str, start: Start) -> None:
    client, _ = start(language), start(other)
    relay = {"function_id": f"{language}::echo", "payload": {"deep": [1, 2]}}
    result = client.call(f"{other}::relay", relay)["result"]
    assert result["deep"] == [1, 2]


@pytest.mark.parametrize("language", ["python", "node"])
def test_http_triggers_answer(language: str, start: Start, engine_process: EngineProcess) -> None:
    start(language)
    status, headers, body = fetch(
        f"{engine_process.http_url}/{language}/greet/ann%20b?q=1", {"n": 7}
    )
    assert status == 201
    assert headers["x-made-by"] == language
    assert json.loads(body) == {"hello": "ann b", "body": {"n": 7}, "query": {"q": "1"}}


@pytest.mark.parametrize("language", ["python", "node"])
def test_http_answers_stream(language: str, start: Start, engine_process: EngineProcess) -> None:
    start(language)
    status, headers, body = fetch(f"{engine_process.http_url}/{language}/stream")
    assert status == 202
    assert headers["content-type"] == "text/event-stream"
    assert body == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"


@pytest.mark.parametrize("language", ["python", "node"])
def test_state_and_its_events(language: str, start: Start) -> None:
    client = start(language)
    written = client.call("state::set", {"scope": "watched", "key": "k", "value": {"n": 1}})
    assert written["result"] == {"old_value": None, "new_value": {"n": 1}}
    updated = client.call(
        "state::update",
        {"scope": "watched", "key": "k", "ops": [{"type": "increment", "path": "n", "by": 2}]},
    )
    assert updated["result"]["new_value"] == {"n": 3}
    assert client.call("state::get", {"scope": "watched", "key": "k"})["result"] == {"n": 3}

    def seen() -> Any:
        events = client.call(f"{language}::events", None)["result"]
        return [e["event_type"] for e in events]

    until_sync(lambda: seen() == ["state:created", "state:updated"], "both events came")


@pytest.mark.parametrize("language", ["python", "node"])
def test_it_comes_back_after_a_kill_of_the_engine(
    language: str, start: Start, engine_process: EngineProcess
) -> None:
    client = start(language)
    assert client.call("state::set", {"scope": "s", "key": "k", "value": 1})["result"]
    engine_process.kill()
    engine_process.start()
    until_sync(
        lambda: client.call(f"{language}::echo", 1, timeout_ms=1000) == {"result": 1},
        "it answers again",
    )
    assert client.call("state::get", {"scope": "s", "key": "k"}) == {"result": 1}
    status, _, _ = fetch(f"{engine_process.http_url}/{language}/greet/again", {})
    assert status == 201
    names = [w["name"] for w in client.call("engine::workers::list", {})["result"]["workers"]]
    assert names.count(f"{language}-worker") == 1


@pytest.mark.parametrize("language", ["python", "node"])
def test_wire_case_10_it_comes_back_after_an_orderly_restart(
    language: str, start: Start, engine_process: EngineProcess
) -> None:
    client = start(language)
    engine_process.stop()
    engine_process.start()
    until_sync(
        lambda: client.call(f"{language}::echo", 2, timeout_ms=1000) == {"result": 2},
        "it answers again",
    )


def test_wire_case_44_too_large_for_a_published_python_client(start: Start) -> None:
    python, node = start("python"), start("node")
    large = "x" * 2 * 1024 * 1024
    refused = node.call("python::echo", large)["error"]
    assert refused["code"] == "payload_too_large"
    assert python.call("python::echo", 1) == {"result": 1}
    assert node.call("node::echo", large) == {"result": large}
