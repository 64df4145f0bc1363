"""What the watcher of files notices, and what it tells of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.waiting import until

from iii_engine.modules.exec.patterns import read_patterns
from iii_engine.modules.exec.tree import snapshot
from iii_engine.modules.exec.watcher import Watcher


class Watched:
    """A watcher that counts what it reports."""

    def __init__(self, folder: Path) -> None:
        self.changes = 0
        self.fails = False
        self.watcher = Watcher(read_patterns([f"{folder}/**/*.py"]), self._changed)

    def _changed(self) -> None:
        self.changes += 1
        if self.fails:
            raise KeyError("mine")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: (folder / "new.py").write_text("x"), id="made"),
        pytest.param(lambda folder: (folder / "a.py").write_text("other"), id="written"),
        pytest.param(lambda folder: (folder / "a.py").unlink(), id="removed"),
        pytest.param(lambda folder: (folder / "a.py").rename(folder / "b.py"), id="renamed"),
        pytest.param(lambda folder: (folder / "c.txt").rename(folder / "a.py"), id="replaced"),
        pytest.param(lambda folder: (folder / "sub").rename(folder / "bus"), id="moved"),
    ],
)
async def test_every_kind_of_change_is_noticed(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.py", "c.txt", "sub/d.py"):
        (tmp_path / name).write_text("12345")
    watched = Watched(tmp_path)
    await until(lambda: watched.watcher.looks)
    change(tmp_path)
    await until(lambda: watched.changes)
    await watched.watcher.stop()
    assert watched.changes == 1


async def test_a_burst_of_changes_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iii_engine.modules.exec.watcher.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("iii_engine.modules.exec.watcher.SETTLE_SECONDS", 0.01)
    left = 10

    def look(*arguments: Any) -> Any:
        """Each time something is different, until the burst is over."""
        nonlocal left
        if left:
            left -= 1
            (tmp_path / "a.py").write_text("x" * left)
        return snapshot(*arguments)

    monkeypatch.setattr("iii_engine.modules.exec.watcher.snapshot", look)
    watched = Watched(tmp_path)
    await until(lambda: watched.changes)
    looks = watched.watcher.looks
    await until(lambda: watched.watcher.looks > looks + 3)
    await watched.watcher.stop()
    assert left == 0
    assert watched.changes == 1


async def test_a_tree_that_takes_long_is_looked_at_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iii_engine.modules.exec.watcher.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("iii_engine.modules.exec.watcher.MAX_SHARE", 1e-9)
    watched = Watched(tmp_path)
    await until(lambda: watched.watcher.looks)
    assert watched.watcher.pause > 100
    await watched.watcher.stop()
    assert watched.watcher.looks == 1


async def test_a_look_that_fails_ends_no_watching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter([OSError("odd"), ValueError("odder"), None])
    monkeypatch.setattr("iii_engine.modules.exec.watcher.LOOK_SECONDS", 0.02)

    def look(*arguments: Any) -> Any:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        return snapshot(*arguments)

    monkeypatch.setattr("iii_engine.modules.exec.watcher.snapshot", look)
    watched = Watched(tmp_path)
    await until(lambda: watched.watcher.looks)
    assert caplog.text.count("cannot be looked at") == 1
    failures = iter([OSError("again")])
    await until(lambda: caplog.text.count("cannot be looked at") == 2)
    (tmp_path / "a.py").write_text("x")
    await until(lambda: watched.changes == 1)
    await watched.watcher.stop()


async def test_what_follows_a_change_may_fail_and_the_next_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("iii_engine.modules.exec.watcher.LOOK_SECONDS", 0.02)
    watched = Watched(tmp_path)
    watched.fails = True
    await until(lambda: watched.watcher.looks)
    for number in (1, 2):
        (tmp_path / f"{number}.py").write_text("x")
        await until(lambda number=number: watched.changes == number)  # type: ignore[misc]
    await watched.watcher.stop()
    assert "what follows a change of files failed" in caplog.text


def test_a_folder_that_cannot_be_read_to_its_end_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.py", "sub/b.py"):
        (tmp_path / name).write_text("x")
    scandir = os.scandir

    class Cut:
        def __init__(self, folder: str) -> None:
            self.entries = scandir(folder)
            self.cut = folder.endswith("sub")

        def __enter__(self) -> Cut:
            return self

        def __exit__(self, *_: object) -> None:
            self.entries.close()

        def __iter__(self) -> Any:
            yield from self.entries
            if self.cut:
                raise OSError("input/output error")

    monkeypatch.setattr(os, "scandir", Cut)
    found = snapshot(read_patterns([f"{tmp_path}/**/*.py"]), lambda: False)
    assert list(found) == [f"{tmp_path}/a.py"]
