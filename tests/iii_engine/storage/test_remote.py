"""The store behind a network over a server that is only pretended: what real ones seldom do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import pytest
from tests.iii_engine.storage.writing import done_of, look, submit
from tests.support.waiting import until

from iii_engine.core.turns import AT_ONCE, Pieces
from iii_engine.storage import remote
from iii_engine.storage.base import ServerLost, StoreError, Transaction
from iii_engine.storage.buffer import Write
from iii_engine.storage.goes import compact
from iii_engine.storage.memory import Maps
from iii_engine.storage.reads import Count, Found, Item, Page, Read, Spaces
from iii_engine.storage.remote import RemoteStore


class Pretended:
    """Keeps everything here. `commits` is what it was asked to write."""

    name: Final = "the server"
    check: Final = None

    def __init__(self) -> None:
        self.maps = Maps()
        self.commits: list[list[Write]] = []
        self.fetched: list[list[Read]] = []
        self.changed = False
        self.lost: list[str] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def greet(self) -> None: ...

    async def fetch(self, reads: Sequence[Read]) -> list[Found]:
        self.fetched.append(list(reads))
        return [Found(self._value(read)) for read in reads]

    def _value(self, read: Read) -> object:
        match read:
            case Item(space, key):
                return self.maps.get(space, key)
            case Page(space, prefix, limit, offset):
                return list(self.maps.items(space, prefix=prefix, limit=limit, offset=offset))
            case Count(space):
                return self.maps.count(space)
            case Spaces(prefix):
                return self.maps.spaces(prefix)

    async def commit(self, token: str, reads: Mapping[Read, Found], writes: list[Write]) -> bool:
        await asyncio.sleep(0)
        if self.lost:
            raise ServerLost(self.lost[0])
        if any(key == "bad" for _, key, _ in writes):
            raise StoreError("no")
        if self.changed:
            return False
        self.commits.append(writes)
        for space, key, value in writes:
            assert key is not None
            if value is not None:
                self.maps.put(space, key, value)
        return True


@pytest.fixture
def server() -> Pretended:
    return Pretended()


@pytest.fixture
async def store(server: Pretended) -> RemoteStore:
    made = RemoteStore(server, patience=0.05)  # type: ignore[arg-type]
    await made.open()
    return made


async def test_works_of_one_tick_share_a_fetch_and_a_commit(
    store: RemoteStore, server: Pretended
) -> None:
    def count(t: Transaction) -> int:
        number = int(t.get("s", "n") or 0) + 1
        t.put("s", "n", b"%d" % number)
        return number

    answers = await asyncio.gather(*(submit(store, count) for _ in range(100)))
    assert answers == list(range(1, 101))
    assert server.fetched == [[Item("s", "n")]]
    assert server.commits == [[("s", "n", b"100")]]


async def test_most_reads_of_a_work_are_fetched_at_once(
    store: RemoteStore, server: Pretended
) -> None:
    await submit(store, lambda t: [t.get("s", str(n)) for n in range(50)])
    assert [len(reads) for reads in server.fetched] == [50]


async def test_one_work_to_blame_fails_alone(store: RemoteStore, server: Pretended) -> None:
    keys = ["a", "b", "bad", "c", "d"]
    asked = [submit(store, lambda t, key=key: t.put("s", key, b"1")) for key in keys]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes if outcome is not None] == ["no"]
    assert [key for key, _ in server.maps.items("s")] == ["a", "b", "c", "d"]


async def test_a_record_that_others_keep_changing_is_given_up(
    store: RemoteStore, server: Pretended
) -> None:
    server.changed = True
    with pytest.raises(StoreError, match="others keep changing the same records of the server"):
        await submit(store, lambda t: t.put("s", "k", t.get("s", "k") or b"1"))
    assert len(server.fetched) >= remote.GOES
    server.changed = False
    await submit(store, lambda t: t.put("s", "k", b"1"))


async def test_a_reader_that_never_ends_is_stopped(store: RemoteStore) -> None:
    numbers = iter(range(1_000_000))
    with pytest.raises(StoreError, match="reads too much, step by step"):
        await submit(store, lambda t: t.get("s", str(next(numbers))))


async def test_who_cannot_know_is_told_so(store: RemoteStore, server: Pretended) -> None:
    server.lost = ["it is gone"]
    with pytest.raises(ServerLost, match="it is gone; it is not known whether"):
        await submit(store, lambda t: t.put("s", "k", b"1"))


class Listing:
    """Somebody's list of a space that is written in pieces, for as long as `held`."""

    def __init__(self, store: RemoteStore, caller_id: str = "w", *, held: bool = True) -> None:
        self.held = held
        self.pieces = 0
        self.answered = False
        self.caller_id = caller_id
        self.answer: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        store.browse(self._work, done_of(self.answer), self)

    def _work(self, transaction: Transaction) -> Pieces[list[str]]:
        found = [key for key, _ in transaction.items("s")]
        yield
        while self.held:
            self.pieces += 1
            yield
        return found


async def test_others_read_while_long_lists_are_written(store: RemoteStore) -> None:
    await submit(store, lambda t: t.put("s", "k", b"1"))
    lists = [Listing(store) for _ in range(3)]
    await until(lambda: all(each.pieces for each in lists))
    assert await look(store, lambda t: t.get("s", "k")) == b"1"
    short = Listing(store, held=False)
    assert await short.answer == ["k"]
    for each in lists:
        each.held = False
    assert await asyncio.gather(*(each.answer for each in lists)) == [["k"]] * 3


async def test_few_long_lists_are_held_and_callers_take_turns(store: RemoteStore) -> None:
    await submit(store, lambda t: t.put("s", "k", b"1"))
    first = [Listing(store, "a") for _ in range(AT_ONCE + 50)]
    await until(lambda: first[0].pieces)
    other = Listing(store, "b")
    await look(store, lambda t: t.get("s", "k"))
    assert sum(bool(each.pieces) for each in first) == AT_ONCE
    first[0].held = False
    assert await first[0].answer == ["k"]
    first[1].held = False
    await until(lambda: other.pieces)
    assert sum(bool(each.pieces) for each in first) == AT_ONCE + 1
    for each in first:
        each.answered = True
    other.held = False
    assert await other.answer == ["k"]
    last = Listing(store, "a", held=False)
    assert await last.answer == ["k"]
    assert sum(bool(each.pieces) for each in first) == AT_ONCE + 1


async def test_too_many_lists_are_refused_and_those_that_wait_are_not(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MAX_WAITING", 2)
    lists = [Listing(store) for _ in range(AT_ONCE + 4)]
    await until(lambda: lists[0].pieces)
    with pytest.raises(StoreError, match="too much waits for the server"):
        await Listing(store).answer
    for each in lists:
        each.held = False
    assert await asyncio.gather(*(each.answer for each in lists)) == [[]] * len(lists)


async def test_lists_end_with_the_store(store: RemoteStore) -> None:
    lists = [Listing(store) for _ in range(AT_ONCE + 2)]
    await until(lambda: lists[0].pieces)
    await store.close()
    for each in lists:
        with pytest.raises(StoreError, match="the store is closed"):
            await each.answer


async def test_a_query_writes_nothing(store: RemoteStore) -> None:
    for work in (
        lambda t: t.put("s", "k", b"1"),
        lambda t: t.delete("s", "k"),
        lambda t: t.delete_space("s"),
    ):
        with pytest.raises(StoreError, match="a query cannot write"):
            await look(store, work)


async def test_one_commit_is_bounded(store: RemoteStore, server: Pretended) -> None:
    value = b"x" * 3_000_000
    await asyncio.gather(
        *(submit(store, lambda t, n=n: t.put("s", str(n), value)) for n in range(7))
    )
    assert [len(writes) for writes in server.commits] == [3, 3, 1]


async def test_a_listener_that_fails_takes_nobody_along(
    store: RemoteStore, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(result: object, error: object) -> None:
        raise KeyError("mine")

    store.write(lambda t: t.put("s", "a", b"1"), fail)
    await submit(store, lambda t: t.put("s", "b", b"1"))
    assert "a listener to the store failed" in caplog.text


def test_only_the_last_value_of_a_record_is_sent() -> None:
    writes: list[Write] = [
        ("s", "a", b"1"),
        ("s", "b", b"1"),
        ("s", "a", b"2"),
        ("s", "a", None),
        ("s", "a", b"3"),
        ("t", "a", b"1"),
        ("s", None, None),
        ("s", "b", b"2"),
        ("t", "a", b"2"),
    ]
    assert compact(writes) == [
        ("s", "a", b"2"),
        ("s", "b", b"1"),
        ("s", "a", None),
        ("s", "a", b"3"),
        ("t", "a", b"2"),
        ("s", None, None),
        ("s", "b", b"2"),
    ]
