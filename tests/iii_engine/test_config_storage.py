from __future__ import annotations

from pathlib import Path

from iii_engine.config import Entry, parse
from iii_engine.config_storage import make_store, store_directory
from iii_engine.storage.memory import MemoryStore


def directory(text: str) -> Path | None:
    return store_directory(parse(text, Path("config.yaml"), {}).entries)


def test_without_a_durable_module_everything_is_in_memory() -> None:
    assert directory("workers: [{name: iii-state}]") is None
    assert directory("workers: [{name: iii-state, config: {adapter: {name: kv}}}]") is None
    assert isinstance(make_store([Entry("iii-state", "iii-state")]), MemoryStore)


def test_the_file_path_of_the_state_module_is_the_directory() -> None:
    adapter = "{name: kv, config: {store_method: file_based, file_path: ./data/state_store.db}}"
    found = directory(f"workers:\n- name: iii-state\n  config: {{adapter: {adapter}}}")
    assert found == Path("data/state_store.db")


def test_the_default_directory() -> None:
    adapter = "{name: kv, config: {store_method: file_based}}"
    found = directory(f"workers:\n- name: iii-state\n  config: {{adapter: {adapter}}}")
    assert found == Path("kv_store_data.db")


def test_modules_without_data_in_the_store_do_not_decide() -> None:
    text = "workers: [{name: iii-http, config: {store_method: file_based, file_path: x}}]"
    assert directory(text) is None


def test_the_options_of_the_kv_module_are_not_in_an_adapter() -> None:
    text = "workers: [{name: iii-kv, config: {store_method: file_based, file_path: x}}]"
    assert directory(text) == Path("x")


def test_bad_options_are_left_to_the_module() -> None:
    assert store_directory([Entry("iii-state", "iii-state", {"adapter": 3})]) is None
