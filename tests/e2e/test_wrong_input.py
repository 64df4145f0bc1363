"""Wrong input at the level of programs: each a clear error, nothing changed, nothing hung."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.e2e.conftest import House as ChatHouse
from tests.support.engine import EngineProcess, RunningEngine
from tests.support.house import House, free_ports, running
from tests.support.raw_worker import CallFailed, RawWorker

MakeHouse = Callable[..., House]

#: Seconds in which a command that cannot work has to say so.
SOON = 15.0


def iii(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iii_engine", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )


def refused_start(house: House) -> str:
    """What `agentos start` says when it cannot; it ends with 1 and leaves nothing running."""
    assert house.begin().wait(SOON) == 1
    assert "Traceback" not in house.output
    assert not house.home.state_file.exists()
    return house.output


@pytest.fixture
def new_house(tmp_path: Path) -> Iterator[MakeHouse]:
    houses: list[House] = []

    def make(root: Path = tmp_path / "home", **variables: str) -> House:
        house = House(root, **variables)
        houses.append(house)
        return house

    yield make
    for house in houses:
        house.close()


# -- the engine ---------------------------------------------------------------------------------


def test_an_unknown_config_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("workers: [{name: iii-http, config: {prot: 3111}}]")
    ended = iii(tmp_path, "--config", str(path))
    assert ended.returncode == 1
    assert "unknown field `prot`" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.yaml"]


@pytest.mark.parametrize("module", ["iii-worker-manager", "iii-http"])
def test_a_port_in_use_is_named(tmp_path: Path, module: str) -> None:
    taken, free = free_ports(2)
    other = "iii-http" if module == "iii-worker-manager" else "iii-worker-manager"
    path = tmp_path / "config.yaml"
    entries = [
        {"name": name, "config": {"host": "127.0.0.1", "port": port}}
        for name, port in ((module, taken), (other, free))
    ]
    path.write_text(json.dumps({"workers": entries}))
    with socket.create_server(("127.0.0.1", taken)):
        ended = iii(tmp_path, "--config", str(path))
    assert ended.returncode == 1
    assert f"{module}': address 127.0.0.1:{taken} is already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_malformed_frame_is_answered_or_dropped(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        for text in ("{", "[]", "null", '"x"', '{"type":7}', '{"type":"no such type"}', " "):
            await worker.send_text(text)
        await worker.send_text('{"type":"invokefunction","invocation_id":"a","function_id":7}')
        refused = (await worker.receive("invocationresult"))["error"]
        assert refused["code"] == "invalid_message"
        assert "$.function_id" in refused["message"]
        await worker.send_text('{"type":"registerfunction","id":7}')
        assert await worker.call("state::set", {"scope": "s", "key": "k", "value": 1})
        assert "7" not in {function.id for function in engine.core.registry}


@pytest.mark.parametrize(
    ("function_id", "payload", "place"),
    [
        ("state::set", {"scope": 1, "key": "k", "value": 1}, "$.scope"),
        ("state::set", {"scope": "s", "key": ["k"], "value": 1}, "$.key"),
        ("state::set", [1], "object"),
        ("state::update", {"scope": "s", "key": "k", "ops": 7}, "$.ops"),
        ("state::list", {"scope": "s", "limit": -1}, "$.limit"),
        (
            "state::transact",
            {"ops": [{"op": "set", "scope": "s", "key": "k", "value": 1}, {"op": "set"}]},
            "$.ops[1]",
        ),
    ],
)
async def test_a_wrong_type_is_named_with_its_place_and_changes_nothing(
    engine: RunningEngine, function_id: str, payload: Any, place: str
) -> None:
    async with RawWorker(engine.url) as worker:
        with pytest.raises(CallFailed) as refused:
            await worker.call(function_id, payload)
        assert refused.value.code == "deserialization_error"
        assert place in refused.value.message
        assert await worker.call("state::list_groups", {}) == {"groups": []}


def test_trigger_against_nothing(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    began = time.monotonic()
    ended = iii(tmp_path, "trigger", "state::get", "--port", str(port), "--timeout-ms", "700")
    assert ended.returncode == 1
    assert "Is the engine running at the given address and port?" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert time.monotonic() - began < 25  # of 30 without the option


def test_trigger_of_a_function_that_is_not_there(
    engine_process: EngineProcess, tmp_path: Path
) -> None:
    ended = iii(tmp_path, "trigger", "no::body", "--port", str(engine_process.port))
    assert ended.returncode == 1
    assert "Function no::body not found" in ended.stderr


# -- the chat -----------------------------------------------------------------------------------


async def say(house: ChatHouse) -> Any:
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    return await house.client.chat.completions.create(model="gpt-4o", messages=messages)


async def test_a_provider_that_is_down_is_named(house: ChatHouse) -> None:
    await house.model.stop()
    with pytest.raises(openai.APIStatusError) as failed:
        await say(house)
    assert failed.value.status_code in (502, 503)
    assert "openai" in failed.value.message
    await house.model.start()


async def test_a_provider_that_says_429_for_good(house: ChatHouse) -> None:
    for _ in range(8):
        house.model.then_fail(429, "slow down", retry_after="0")
    with pytest.raises(openai.RateLimitError) as failed:
        await say(house)
    assert "openai" in failed.value.message


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"model": 7, "messages": []}, "model"),
        ({"model": "m", "messages": "hi"}, "messages"),
        ({"model": "m", "messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"model": "m", "messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": "yes"}, "stream"),
    ],
)
async def test_a_wrong_type_in_a_chat_is_named(house: ChatHouse, body: Any, place: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await house.client.post("/chat/completions", body=body, cast_to=object)
    assert place in str(refused.value)
    assert house.model.chats == []


# -- agentos ------------------------------------------------------------------------------------


def test_two_systems_from_one_home(new_house: MakeHouse) -> None:
    first = new_house()
    first.start()
    before = first.state
    second = new_house()
    second.begin().wait(SOON)
    assert f"AgentOS already runs from {first.home.root} (pid {before.pid})" in second.output
    detached = second.agentos("start", "--detach")
    assert detached.returncode == 1
    assert "already runs" in detached.stderr
    assert first.state == before
    assert all(running(pid) for pid in first.processes())
    assert first.agentos("health").returncode == 0
    assert first.stop() == 0


@pytest.mark.parametrize("which", ["engine_port", "api_port"])
def test_a_port_that_another_program_has(new_house: MakeHouse, which: str) -> None:
    house = new_house()
    port = getattr(house, which)
    with socket.create_server(("127.0.0.1", port)):
        assert f"cannot listen on port {port}: Address already in use" in refused_start(house)
    house.start()
    assert house.stop() == 0


def test_an_engine_that_cannot_start_ends_everything(new_house: MakeHouse) -> None:
    house = new_house()
    house.home.prepare()
    house.home.engine_config.write_text("workers: [{name: iii-http, config: {prot: 1}}]")
    assert "unknown field `prot`" in refused_start(house)


@pytest.mark.parametrize("text", ["{", "workers: 7", "workers: [7]", "- x", "workers: [{name: 1}]"])
def test_a_corrupt_engine_config(new_house: MakeHouse, text: str) -> None:
    house = new_house()
    del house.environment["AGENTOS_ENGINE_PORT"], house.environment["AGENTOS_HTTP_PORT"]
    house.home.prepare()
    house.home.engine_config.write_text(text)
    output = refused_start(house)
    assert "the engine did not start" in output or "cannot listen" in output


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"hosts = ", "config.toml: Invalid value (at end of document)"),
        (b"\xff\xfe", "config.toml: 'utf-8' codec can't decode"),
        (b"hosts = 7", "Expected `object`, got `int` - at `$.hosts`"),
        (b'[hosts]\na = "memory"', "Expected `array`, got `str` - at `$.hosts[...]`"),
        (b'[hosts]\na = ["nobody"]', "[hosts] a: there is no worker 'nobody'"),
        (b'[hosts]\na = ["memory"]\nb = ["memory"]', "'memory' is in 'a' and in 'b'"),
        (b'[hosts]\n"a/b" = ["memory"]', "'a/b' cannot be the name of a host"),
        (b'[hosts]\nengine = ["memory"]', "'engine' cannot be the name of a host"),
    ],
)
def test_a_corrupt_settings_file(new_house: MakeHouse, text: bytes, reason: str) -> None:
    house = new_house()
    house.home.prepare()
    house.home.settings.write_bytes(text)
    assert reason in refused_start(house)
    assert house.home.settings.read_bytes() == text


def test_a_home_that_is_a_file(new_house: MakeHouse, tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_text("mine")
    house = new_house(root)
    assert house.begin().wait(SOON) == 1
    assert f"cannot prepare {root}: " in house.output
    for command in ("status", "stop", "message default x"):
        ended = house.agentos(*command.split())
        assert ended.returncode != 0
        assert "Traceback" not in ended.stderr
    assert root.read_text() == "mine"


def test_a_home_without_permissions(new_house: MakeHouse, tmp_path: Path) -> None:
    root = tmp_path / "locked"
    root.mkdir()
    house = new_house(root)
    house.home.prepare()
    house.home.key_file.mkdir()  # unreadable for everybody, the superuser as well
    assert f"cannot read {house.home.key_file}: " in refused_start(house)
    assert f"cannot read {house.home.key_file}: " in house.agentos("status").stderr


def test_an_empty_key_file(new_house: MakeHouse) -> None:
    house = new_house()
    house.home.prepare()
    house.home.key_file.write_text("\n")
    assert f"{house.home.key_file} is empty" in refused_start(house)


def test_stop_without_a_system(new_house: MakeHouse) -> None:
    house = new_house()
    ended = house.agentos("stop")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"nothing runs from {house.home.root}" in ended.stderr


def test_stop_hits_no_stranger_after_the_supervisor_was_killed(new_house: MakeHouse) -> None:
    house = new_house()
    house.home.prepare()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        house.home.state_file.write_text(
            json.dumps(
                {"pid": stranger.pid, "engine_url": "", "api_url": "", "hosts": {}, "engine_pid": 0}
            )
        )
        ended = house.agentos("stop")
        assert ended.returncode == 1
        assert "nothing runs" in ended.stderr
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_a_wrong_key_and_no_system_have_exit_codes(new_house: MakeHouse) -> None:
    house = new_house()
    nothing = house.agentos("message", "default", "hi", AGENTOS_API_URL=house.api_url)
    assert nothing.returncode == 5
    assert f"nothing answers at {house.api_url}" in nothing.stderr
    assert "agentos start" in nothing.stderr
    assert house.agentos("message", "a b", "hi").returncode == 1
    assert house.agentos("no-such-command").returncode == 2
