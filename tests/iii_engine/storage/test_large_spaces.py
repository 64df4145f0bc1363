"""The end of a space of very many items, which takes SQLite long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from tests.iii_engine.storage.writing import submit

from iii_engine.storage.base import StoreError
from iii_engine.storage.buffer import Write
from iii_engine.storage.embedded import EmbeddedStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = EmbeddedStore(tmp_path / "store.db")
    await made.open()
    yield made
    await made.close()


@pytest.mark.parametrize(("count", "elsewhere"), [(1000, False), (1001, True)])
async def test_a_large_space_ends_in_the_thread_that_commits(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, count: int, elsewhere: bool
) -> None:
    keys = [str(number) for number in range(count)]
    await submit(store, lambda t: [t.put("s", key, b"1") for key in keys])
    here, threads = threading.get_ident(), []
    apply = store._writing.apply

    def noted(writes: list[Write]) -> None:
        if any(key is None for _, key, _ in writes):
            threads.append(threading.get_ident())
        apply(writes)

    monkeypatch.setattr(store._writing, "apply", noted)
    gone = submit(store, lambda t: t.delete_space("s"))
    after = submit(store, lambda t: (t.count("s"), t.put("s", "k", b"2")))
    assert await gone == count
    assert (await after)[0] == 0
    assert [thread != here for thread in threads] == [elsewhere]
    assert store.read(lambda t: list(t.items("s"))) == [("k", b"2")]


async def test_what_follows_the_end_of_a_large_space_waits_for_it(store: EmbeddedStore) -> None:
    """Each of them has a commit of its own, in order."""
    many = [str(number) for number in range(1500)]
    works = []
    for _ in range(3):
        works.append(submit(store, lambda t: [t.put("s", key, b"1") for key in many]))
        works.append(submit(store, lambda t: t.delete_space("s")))
    assert [work for work in await asyncio.gather(*works) if isinstance(work, int)] == [1500] * 3
    assert store.read(lambda t: t.count("s")) == 0


async def test_a_large_space_that_cannot_end_is_still_there(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [str(number) for number in range(1500)]
    await submit(store, lambda t: [t.put("s", key, b"1") for key in many])
    with monkeypatch.context() as patched:
        patched.setattr(store._writing, "apply", _full)
        with pytest.raises(StoreError, match="full"):
            await submit(store, lambda t: t.delete_space("s"))
    assert store.read(lambda t: t.count("s")) == 1500
    assert await submit(store, lambda t: t.delete_space("s")) == 1500


def _full(writes: list[Write]) -> None:
    if writes:
        raise apsw.FullError("full")
