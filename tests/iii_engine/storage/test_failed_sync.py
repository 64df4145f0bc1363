"""A disk that cannot confirm a commit, then a crash: what was refused is not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from tests.iii_engine.storage.writing import keys, put

from iii_engine.storage.base import StoreError
from iii_engine.storage.embedded import EmbeddedStore


class FailingFile(apsw.VFSFile):
    """Cannot be synced while `failing`."""

    failing = False

    def xSync(self, flags: int) -> None:
        if FailingFile.failing:
            raise apsw.IOError("the disk is gone")
        super().xSync(flags)


class FailingDisk(apsw.VFS):
    """The file system of this process, with such files."""

    def __init__(self) -> None:
        super().__init__("failing", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> FailingFile:
        return FailingFile("unix", name, flags)


@pytest.fixture
def disk() -> Iterator[type[FailingFile]]:
    made = FailingDisk()
    yield FailingFile
    FailingFile.failing = False
    made.unregister()


@pytest.mark.promise(
    "Data", "A commit that the disk does not confirm is not there after a crash either."
)
async def test_a_commit_that_was_refused_is_not_found_after_a_crash(
    disk: type[FailingFile], tmp_path: Path
) -> None:
    file = tmp_path / "one" / "store.db"
    store = EmbeddedStore(file)
    await store.open()
    await put(store, "s", "kept")
    disk.failing = True
    with pytest.raises(StoreError, match="the disk is gone"):
        await put(store, "s", "refused", "too")
    assert await keys(store, "s") == ["kept"]
    # As a crash leaves it: what was written is there, synced or not; nobody closed it.
    shutil.copytree(file.parent, tmp_path / "two", ignore=shutil.ignore_patterns("*-shm", "*.lock"))
    disk.failing = False
    again = EmbeddedStore(tmp_path / "two" / "store.db")
    await again.open()
    assert await keys(again, "s") == ["kept"]
    await again.close()
    await put(store, "s", "later")
    assert await keys(store, "s") == ["kept", "later"]
    await store.close()
