"""Reading very much, a piece at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.iii_engine.storage.writing import done_of, put, submit
from tests.support.waiting import until

from iii_engine.core.turns import Pieces
from iii_engine.storage.base import Store, StoreError, Transaction
from iii_engine.storage.embedded import EmbeddedStore
from iii_engine.storage.memory import MemoryStore

T = TypeVar("T")


def browse(store: Store, work: Callable[[Transaction], Pieces[T]]) -> asyncio.Future[T]:
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    store.browse(work, done_of(answer))
    return answer


def keys(transaction: Transaction) -> Pieces[list[str]]:
    found = []
    for key, _ in transaction.items("s"):
        found.append(key)
        yield
    return found


async def test_all_pieces_are_read(store: Store) -> None:
    await put(store, "s", "b", "a", "c")
    several = [browse(store, keys) for _ in range(3)]
    assert await asyncio.gather(*several) == [["b", "a", "c"]] * 3


async def test_what_a_work_raises_is_told(store: Store) -> None:
    def fails(transaction: Transaction) -> Pieces[int]:
        yield
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await browse(store, fails)


async def test_names_are_those_of_the_spaces(store: Store) -> None:
    def names(transaction: Transaction) -> Pieces[list[str]]:
        yield from ()
        return list(transaction.names("a"))

    for space in ("b", "ac", "aa"):
        await put(store, space, "k")
    assert await browse(store, names) == ["aa", "ac"]


@pytest.fixture(params=["memory", "embedded"])
async def local(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else EmbeddedStore(tmp_path / "store.db")


async def test_what_is_written_meanwhile_is_not_seen(local: Store) -> None:
    await local.open()
    await put(local, "s", "a", "b", "c")
    second: list[bool] = []
    written = False

    def slow(transaction: Transaction) -> Pieces[list[str]]:
        items = iter(transaction.items("s"))
        found = [next(items)[0]]
        yield
        second.append(True)
        while not written:
            yield
        return found + [key for key, _ in items]

    answer = browse(local, slow)
    await until(lambda: second)
    await submit(local, lambda t: t.delete("s", "b"))
    await put(local, "s", "d")
    written = True
    assert await answer == ["a", "b", "c"]
    assert await browse(local, keys) == ["a", "c", "d"]
    await local.close()


async def test_one_piece_is_read_at_once(local: Store) -> None:
    await local.open()
    await put(local, "s", "a")

    def first(transaction: Transaction) -> Pieces[bytes | None]:
        yield from ()
        return transaction.get("s", "a")

    answer = browse(local, first)
    assert answer.done()
    assert await answer == b"1"
    await local.close()


async def test_a_store_that_closes_says_so(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "store.db")
    await store.open()

    def endless(transaction: Transaction) -> Pieces[None]:
        while True:
            yield

    answers = [browse(store, endless) for _ in range(2)]
    await asyncio.sleep(0)
    await store.close()
    answers.append(browse(store, endless))
    for answer in answers:
        with pytest.raises(StoreError, match="the store is closed"):
            await answer


@pytest.mark.parametrize("count", [5, 2000])
async def test_few_and_many_of_a_prefix_are_in_the_order_of_insertion(
    tmp_path: Path, count: int
) -> None:
    store = EmbeddedStore(tmp_path / "store.db")
    await store.open()
    wanted = [f"k{number * 7919 % count}" for number in range(count)]
    await submit(store, lambda t: [t.put("s", key, b"1") for key in ("a", *wanted, "z")])

    def found(**page: int) -> list[str]:
        return store.read(lambda t: [key for key, _ in t.items("s", prefix="k", **page)])

    assert found() == wanted
    assert found(offset=2, limit=2) == wanted[2:4]
    await store.close()


async def test_works_cannot_write(local: Store) -> None:
    await local.open()
    for write in (
        lambda t: t.put("s", "k", b"1"),
        lambda t: t.delete("s", "k"),
        lambda t: t.delete_space("s"),
    ):

        def work(transaction: Transaction) -> Pieces[None]:
            yield
            write(transaction)  # noqa: B023  (it is awaited below)

        with pytest.raises(StoreError):
            await browse(local, work)
    await local.close()
