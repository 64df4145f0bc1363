"""Stores in this process: what is read of a space by keys, by age, and by bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.iii_engine.storage.writing import put, submit

from iii_engine.storage.base import LocalStore, Transaction
from iii_engine.storage.embedded import EmbeddedStore
from iii_engine.storage.memory import MemoryStore
from iii_engine.storage.portion import portion


@pytest.fixture(params=["memory", "embedded"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalStore]:
    """Five items of ten bytes, `b` inserted last."""
    made = MemoryStore() if request.param == "memory" else EmbeddedStore(tmp_path / "store.db")
    await made.open()
    await put(made, "s", "a", "c", "d", "e", "b", value=b"x" * 10)
    yield made
    await made.close()


def names(found: list[tuple[str, bytes]]) -> str:
    return "".join(key for key, _ in found)


async def test_a_page_is_in_the_order_of_keys(store: LocalStore) -> None:
    assert names(store.page("s", limit=3)) == "abc"
    assert names(store.page("s", after="b", limit=9)) == "cde"
    assert names(store.page("s", limit=2, descending=True)) == "ed"
    assert names(store.page("none", limit=2)) == ""


@pytest.mark.parametrize(("size", "expected"), [(0, "a"), (29, "ab"), (30, "abc"), (99, "abcd")])
async def test_a_page_ends_with_its_bytes(store: LocalStore, size: int, expected: str) -> None:
    assert names(store.page("s", limit=4, size=size)) == expected


async def test_the_newest_are_those_that_were_inserted_last(store: LocalStore) -> None:
    assert names(store.newest("s", limit=3, size=99)) == "bed"
    assert names(store.newest("s", offset=2, limit=9, size=99)) == "dca"
    assert names(store.newest("s", limit=9, size=25)) == "be"
    assert names(store.newest("s", offset=5, limit=9, size=99)) == ""


async def test_items_are_read_as_they_are_taken(store: LocalStore) -> None:
    """A work may stop anywhere, and write; what it did not take is still there."""

    def work(transaction: Transaction) -> str:
        found = list(portion(transaction.items("s"), 20))
        for key, _ in found:
            transaction.delete("s", key)
        return names(found)

    assert [await submit(store, work) for _ in range(4)] == ["ac", "de", "b", ""]
