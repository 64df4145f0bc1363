"""`kv_server::*` and `kv::*`: conformance case 75."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.support.desk import Desk, running
from tests.support.engine import EngineProcess
from tests.support.raw_worker import RawWorker

from iii_engine.modules.kv import KvModule
from iii_sdk.errors import BusError


def entry(index: str = "a1", key: str = "k", **more: object) -> dict[str, object]:
    return {"index": index, "key": key, **more}


def test_modules_case_75_set_answers_old_and_new_and_indexes_have_names(desk: Desk) -> None:
    first = desk.ask("kv_server::set", entry(value={"n": 1}))
    assert first == {"old_value": None, "new_value": {"n": 1}}
    assert desk.ask("kv_server::set", entry(value=2)) == {"old_value": {"n": 1}, "new_value": 2}
    desk.ask("kv_server::set", entry("a2", value=1))
    desk.ask("kv_server::set", entry("b", "a", value=1))
    assert desk.ask("kv_server::list_keys_with_prefix", {"prefix": "a"}) == ["a1", "a2"]
    assert desk.ask("kv_server::list_keys_with_prefix", {"prefix": ""}) == ["a1", "a2", "b"]


@pytest.mark.parametrize("service", ["kv_server", "kv"])
def test_an_entry_comes_changes_and_goes(desk: Desk, service: str) -> None:
    assert desk.ask(f"{service}::get", entry()) is None
    desk.ask(f"{service}::set", entry(value=None))
    desk.ask(f"{service}::set", entry(key="other", value=[1]))
    assert desk.ask(f"{service}::list", {"index": "a1"}) == [None, [1]]
    assert desk.ask(f"{service}::delete", entry(key="other")) == {"old_value": [1]}
    assert desk.ask(f"{service}::delete", entry(key="other")) == {"old_value": None}
    assert desk.ask(f"{service}::list", {"index": "a1"}) == [None]
    assert desk.ask(f"{service}::list", {"index": "none"}) == []


def test_operations_are_those_of_state(desk: Desk) -> None:
    ops = [
        {"type": "set", "path": "name", "value": "x"},
        {"type": "increment", "path": "n", "by": 2},
        {"type": "increment", "path": "name", "by": 1},
    ]
    answer = desk.ask("kv_server::update", entry(ops=ops))
    assert answer["old_value"] is None
    assert answer["new_value"] == {"name": "x", "n": 2}
    assert [error["op_index"] for error in answer["errors"]] == [2]
    desk.ask("kv::update", entry(ops=[{"type": "increment", "path": "n", "by": 1}]))
    assert desk.ask("kv_server::get", entry()) == {"name": "x", "n": 3}


def test_the_entries_of_state_are_others(desk: Desk) -> None:
    desk.ask("kv_server::set", entry(value=1))
    assert desk.store.read(lambda transaction: transaction.spaces()) == ["kv/a1"]


@pytest.mark.parametrize(
    ("function", "data"),
    [
        ("get", {"index": "a"}),
        ("set", entry()),
        ("set", {"key": "k", "value": 1}),
        ("update", entry()),
        ("delete", None),
        ("list", {}),
        ("list_keys_with_prefix", {"prefix": 1}),
    ],
)
def test_what_is_required_is_required(desk: Desk, function: str, data: object) -> None:
    with pytest.raises(BusError) as refused:
        desk.ask(f"kv_server::{function}", data)
    assert refused.value.code == "deserialization_error"
    assert f"kv_server::{function}" in refused.value.message


async def test_an_unknown_method_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with running(KvModule, {"store_method": "stone"}):
            pass
    assert "unknown store_method 'stone'" in caplog.text


async def test_entries_survive_a_kill(tmp_path: Path) -> None:
    process = EngineProcess(
        tmp_path,
        """
modules:
  - {class: modules::worker::WorkerModule, config: {host: 127.0.0.1, port: 0}}
  - class: modules::kv_server::KvServer
    config: {store_method: file_based, file_path: ./data/kv, save_interval_ms: 5000}
""",
    )
    process.start()
    try:
        async with RawWorker(process.url) as worker:
            await worker.call("kv_server::set", entry(value="kept"))
        process.kill()
        process.start()
        async with RawWorker(process.url) as worker:
            assert await worker.call("kv_server::get", entry()) == "kept"
    finally:
        process.close()
