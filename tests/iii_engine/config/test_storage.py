from __future__ import annotations

from pathlib import Path

import pytest

from iii_engine.app import App
from iii_engine.config.entries import Entry, parse
from iii_engine.config.errors import ConfigError
from iii_engine.config.storage import STORE_FILE, leave_notes, make_store, store_directory
from iii_engine.storage.base import Transaction
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


def durable(kind: str, path: Path) -> str:
    config = f"{{store_method: file_based, file_path: {path}}}"
    return f"{{name: {kind}, config: {config}}}"


def state(path: Path) -> str:
    config = f"{{adapter: {{name: kv, config: {{store_method: file_based, file_path: {path}}}}}}}"
    return f"{{name: iii-state, config: {config}}}"


async def remembered(*entries: str) -> int | None:
    """Starts that an engine with these modules has counted in its store, this one included."""
    listener = "{name: iii-worker-manager, config: {host: 127.0.0.1, port: 0}}"
    app = App(parse(f"workers: [{listener}, {', '.join(entries)}]", Path("config.yaml"), {}))

    def count(transaction: Transaction) -> int:
        starts = int(transaction.get("test", "starts") or 0) + 1
        transaction.put("test", "starts", b"%d" % starts)
        return starts

    counted: list[int | None] = []
    await app.start()
    app.store.write(count, lambda starts, error: counted.append(starts))
    await app.stop(grace=0)
    return counted[0]


@pytest.mark.promise(
    "Data", "No data disappears because modules change their order in the config file, or one goes."
)
async def test_the_store_is_found_whatever_the_order_of_the_modules(tmp_path: Path) -> None:
    first, other = tmp_path / "state", tmp_path / "kv"
    assert await remembered(state(first), durable("iii-kv", other)) == 1
    assert await remembered(durable("iii-kv", other), state(first)) == 2
    assert await remembered(durable("iii-kv", other)) == 3
    assert await remembered(state(first)) == 4
    assert [path.name for path in other.iterdir()] == ["store.location"]


async def test_a_store_that_was_moved_is_found_where_it_is(tmp_path: Path) -> None:
    first, other, new = tmp_path / "state", tmp_path / "kv", tmp_path / "new"
    assert await remembered(state(first), durable("iii-kv", other)) == 1
    first.rename(new)
    assert await remembered(durable("iii-kv", other), state(new)) == 2


def test_two_stores_are_refused_rather_than_one_of_them_ignored(tmp_path: Path) -> None:
    text = f"workers: [{state(tmp_path / 'a')}, {durable('iii-kv', tmp_path / 'b')}]"
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / STORE_FILE).touch()
    with pytest.raises(ConfigError, match=r"there are several: '.*/a/store.db', '.*/b/store.db'"):
        directory(text)


def test_a_note_that_leads_nowhere_is_ignored(tmp_path: Path) -> None:
    text = f"workers: [{durable('iii-kv', tmp_path / 'kv')}]"
    (tmp_path / "kv").mkdir()
    for note in (b"../gone\n", b"\xff", b"", b"."):
        (tmp_path / "kv" / "store.location").write_bytes(note)
        assert directory(text) == tmp_path / "kv"


def test_a_directory_that_cannot_be_written_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kv").write_text("a file")
    entries = parse(
        f"workers: [{durable('iii-kv', tmp_path / 'kv')}]", Path("config.yaml"), {}
    ).entries
    leave_notes(tmp_path, entries)
    assert "where the store is cannot be noted in" in caplog.text
