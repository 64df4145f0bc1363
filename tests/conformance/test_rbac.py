"""A guarded listener, with the published Python client on both sides (wire protocol 10.6, 18.7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import EngineProcess
from tests.support.published import PublishedClient, python_client
from tests.support.waiting import until_sync

CONFIG = """
workers:
  - name: iii-worker-manager
    config: {host: 127.0.0.1, port: 0}
  - name: iii-worker-manager
    config:
      host: 127.0.0.1
      port: 0
      middleware_function_id: test::rbac-worker::middleware
      rbac:
        auth_function_id: test::rbac-worker::auth
        on_function_registration_function_id: test::rbac-worker::on-function-reg
        on_trigger_registration_function_id: test::rbac-worker::on-trigger-reg
        on_trigger_type_registration_function_id: test::rbac-worker::on-trigger-type-reg
        expose_functions:
          - match("test::ew::public::*")
          - match("engine::functions::list")
          - metadata: {ew_public: true}
"""

Start = Callable[[str], PublishedClient]


class House:
    """An engine with a trusted and a guarded listener, and the guards."""

    def __init__(self, process: EngineProcess, folder: Path) -> None:
        self._folder = folder
        found = re.search(
            r"^module iii-worker-manager#1 listening on (\S+)$", process.output, re.MULTILINE
        )
        assert found is not None
        self.guarded_url = f"ws://{found[1]}"
        self.url = process.url
        self._running: list[PublishedClient] = []
        self.guards = self.start(self.url, "guards", "guards.py")

    def start(self, url: str, name: str, program: str) -> PublishedClient:
        client = python_client(url, name, self._folder, program)
        self._running.append(client)
        return client

    def worker(self, token: str) -> PublishedClient:
        """A worker on the guarded listener, connected."""
        client = self.start(self.guarded_url, token, "guarded.py")
        until_sync(lambda: "result" in client.call("engine::baggage::get_all", {}), "connected")
        return client

    def asked(self, kind: str) -> list[Any]:
        """What the guards were asked about arrivals or registrations of one kind."""
        return [
            question[kind]
            for question in self.guards.call("test::questions")["result"]
            if kind in question
        ]

    def close(self) -> list[int]:
        return [client.close() for client in reversed(self._running)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    process = EngineProcess(tmp_path, CONFIG)
    process.start()
    house = House(process, tmp_path)
    yield house
    codes = house.close()
    process.close()
    assert set(codes) == {0}


def test_wire_case_72_the_middleware_runs_and_auth_is_asked_once(house: House) -> None:
    client = house.worker("valid-token")
    result = client.call("test::ew::valid-token-echo", {"msg": "hi"})["result"]
    assert result["valid_token"] is True
    assert result["echoed"]["msg"] == "hi"
    assert (result["echoed"]["_caller"], result["echoed"]["_intercepted"]) == ("user-1", True)
    arrivals = [a for a in house.asked("auth") if a["headers"].get("x-test-token")]
    assert len(arrivals) == 1
    assert arrivals[0]["query_params"] == {}
    assert arrivals[0]["ip_address"] == "127.0.0.1"


def test_wire_cases_73_to_76_permissions_of_calls(house: House) -> None:
    valid, restricted = house.worker("valid-token"), house.worker("restricted-token")
    refused = valid.call("test::ew::private", {})["error"]  # case 73
    assert (refused["code"], refused["function_id"]) == ("FORBIDDEN", "test::ew::private")
    assert "test::ew::private" in refused["message"]
    refused = restricted.call("test::ew::echo", {})["error"]  # case 74
    assert refused["code"] == "FORBIDDEN"
    assert refused["message"].endswith("(remove from rbac.forbidden_functions)")
    rows = valid.call("engine::functions::list", {})["result"]["functions"]  # case 75
    assert {row["function_id"] for row in rows} == {
        "test::ew::public::echo",
        "test::ew::meta-public",
        "test::ew::valid-token-echo",
    }
    pair = restricted.call("engine::channels::create", {})["result"]  # case 76
    assert pair["reader"]["channel_id"] == pair["writer"]["channel_id"]
    public = restricted.call("test::ew::public::echo", {"n": 1})["result"]
    assert public["echoed"]["_intercepted"] is True


def test_wire_case_77_a_prefix_is_seen_by_callers_only(house: House) -> None:
    client = house.worker("prefix-token")
    client.command({"do": "function", "id": "prefixed-echo"})
    trusted = house.start(house.url, "anonymous", "guarded.py")

    def result() -> Any:
        return trusted.call("test-prefix::prefixed-echo", {"n": 1})

    answer = until_sync(lambda: result().get("result"), "it is registered")
    assert (answer["called"], answer["data"]["n"]) == ("prefixed-echo", 1)
    client.command({"do": "unregister", "id": "prefixed-echo"})
    gone = until_sync(lambda: result().get("error"), "it is unregistered")
    assert gone["code"] == "function_not_found"


def test_wire_case_78_hooks_decide_about_registrations(house: House) -> None:
    client = house.worker("valid-token")
    trusted = house.start(house.url, "anonymous", "guarded.py")
    for function_id in ("denied::f", "test::ew::public::own", "denied-trig::f"):
        client.command({"do": "function", "id": function_id})
    for type_id in ("denied-tt::t", "good::t"):
        client.command({"do": "type", "id": type_id})
    config = {"nested": [1, {"deep": None}]}
    for function_id in ("denied-trig::f", "test::ew::public::own"):
        trigger = {"type": "good::t", "function_id": function_id, "config": config}
        client.command({"do": "trigger", "trigger": trigger})

    def rows(list_id: str, key: str) -> Any:
        return trusted.call(list_id, {})["result"][key]

    until_sync(lambda: len(house.asked("trigger")) == 2, "the hooks were asked")
    functions = [row["function_id"] for row in rows("engine::functions::list", "functions")]
    assert "test::ew::public::own" in functions
    assert "denied::f" not in functions
    types = [row["id"] for row in rows("engine::trigger-types::list", "trigger_types")]
    assert "good::t" in types
    assert "denied-tt::t" not in types
    (row,) = rows("engine::triggers::list", "triggers")
    assert (row["function_id"], row["config"]) == ("test::ew::public::own", config)
    for kind, count in (("function", 3), ("type", 2), ("trigger", 2)):
        assert [q["context"] for q in house.asked(kind)] == [{"user_id": "user-1"}] * count
    (bound,) = client.command({"do": "bound"})["result"]
    assert bound["function_id"] == "test::ew::public::own"


def test_wire_case_79_an_unknown_token_keeps_trying(house: House) -> None:
    trusted = house.start(house.url, "anonymous", "guarded.py")
    client = house.start(house.guarded_url, "wrong-token", "guarded.py")

    def attempts() -> int:
        return len(
            [a for a in house.asked("auth") if a["headers"].get("x-test-token") == "wrong-token"]
        )

    until_sync(lambda: attempts() >= 2, "it tried again")
    rows = trusted.call("engine::workers::list", {})["result"]["workers"]
    assert "wrong-token" not in {row["name"] for row in rows}
    assert client.call("test::ew::public::echo", {}, timeout_ms=200)["error"]["code"] == "TIMEOUT"
