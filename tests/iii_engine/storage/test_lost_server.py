"""Stores on a server that goes away, hangs, refuses or was never there: the same for all."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from tests.iii_engine.storage.writing import look, put, submit
from tests.support.servers import Server, free_port
from tests.support.waiting import until

from iii_engine.storage import pump
from iii_engine.storage.base import ServerLost, StoreError, Transaction
from iii_engine.storage.nats.remote import NatsRemote
from iii_engine.storage.redis.names import Names
from iii_engine.storage.redis.remote import RedisRemote
from iii_engine.storage.remote import PATIENCE, RemoteStore

KINDS = ["redis", "nats"]


def make(kind: str, url: str, patience: float = PATIENCE, answer: float = 5.0) -> RemoteStore:
    if kind == "redis":
        names = Names("", "test:")
        return RemoteStore(RedisRemote(url, names, answer_seconds=answer), patience=patience)
    return RemoteStore(NatsRemote(url, "test", answer_seconds=answer), patience=patience)


@dataclass
class Place:
    """A running server, and the stores that were made on it."""

    kind: str
    server: Server
    stores: list[RemoteStore] = field(default_factory=list)

    async def store(self, **options: float) -> RemoteStore:
        store = make(self.kind, self.server.url, **options)
        await store.open()
        self.stores.append(store)
        return store


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    made = Place(request.param, request.getfixturevalue(f"{request.param}_server"))
    yield made
    await asyncio.gather(*(store.close() for store in made.stores))


def count(t: Transaction) -> int:
    number = int(t.get("s", "n") or 0) + 1
    t.put("s", "n", b"%d" % number)
    return number


async def test_no_count_is_lost_or_made_twice_when_the_server_is_killed(place: Place) -> None:
    stores = [await place.store(patience=20) for _ in range(2)]
    answers: list[int] = []

    async def counting(store: RemoteStore) -> None:
        for _ in range(60):
            answers.append(await submit(store, count))

    tasks = [asyncio.create_task(counting(store)) for store in stores]
    for goal in (20, 60):
        await until(lambda goal=goal: len(answers) > goal)  # type: ignore[misc]
        await asyncio.to_thread(place.server.kill)
        await asyncio.to_thread(place.server.start)
    await asyncio.gather(*tasks)
    assert sorted(answers) == list(range(1, 121))
    assert await look(stores[0], lambda t: t.get("s", "n")) == b"120"


async def test_calls_fail_in_time_while_the_server_is_away_and_work_again(place: Place) -> None:
    store = await place.store(patience=0.3)
    await put(store, "s", "k")
    await asyncio.to_thread(place.server.stop)
    begin = time.monotonic()
    for ask in (submit, look):
        with pytest.raises(ServerLost, match=f"127.0.0.1:{place.server.port}.* cannot be reached"):
            await ask(store, lambda t: t.get("s", "k"))
    assert time.monotonic() - begin < 9  # of 10 and more with the usual patience
    await asyncio.to_thread(place.server.start)

    async def back() -> bool:
        try:
            return await look(store, lambda t: t.get("s", "k")) == b"1"
        except ServerLost:
            return False

    await until(back)


async def test_calls_fail_in_time_while_the_server_hangs(place: Place) -> None:
    store = await place.store(patience=0.2, answer=0.3)

    async def works(value: bytes) -> bool:
        try:
            await put(store, "s", "k", value=value)
        except ServerLost:
            return False
        return True

    async def holds(value: bytes) -> bool:
        try:
            return await look(store, lambda t: t.get("s", "k")) == value
        except ServerLost:
            return False

    await until(lambda: works(b"1"))  # a busy machine may be late, too
    place.server.pause()
    begin = time.monotonic()
    asked = [submit(store, lambda t: t.put("s", "k", b"2")), look(store, lambda t: t.get("s", "k"))]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(outcome, ServerLost) for outcome in outcomes)
    assert time.monotonic() - begin < 9  # of 10 and more with the usual patience
    place.server.resume()
    await until(lambda: works(b"3"))
    await until(lambda: holds(b"3"))


async def test_closing_does_not_wait_for_ever_for_a_lost_server(place: Place) -> None:
    store = await place.store(patience=0.2)
    await asyncio.to_thread(place.server.stop)
    lost = submit(store, lambda t: t.put("s", "k", b"1"))
    await store.close()
    assert isinstance(lost.exception(), ServerLost)


async def test_what_waits_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "MAX_WAITING", 5)
    store = await place.store()
    asked = [submit(store, lambda t: t.put("s", "k", b"1")) for _ in range(7)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes if outcome] == [
        f"too much waits for {store.name}"
    ] * 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_was_never_there_is_named_without_its_password(kind: str) -> None:
    store = make(kind, f"{kind}://me:s3cret@127.0.0.1:{free_port()}")
    begin = time.monotonic()
    with pytest.raises(StoreError) as refused:
        await store.open()
    assert time.monotonic() - begin < 15
    assert "me:***@127.0.0.1" in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_says_nothing_is_given_up_within_seconds(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"iii_engine.net.{kind}_client.CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        begin = time.monotonic()
        with pytest.raises(StoreError, match=f"127.0.0.1:{port} cannot be reached"):
            await make(kind, f"{kind}://127.0.0.1:{port}").open()
        assert time.monotonic() - begin < 4.5  # of 5 seconds


async def wrong_address(make_it: Callable[[], RemoteStore]) -> str:
    with pytest.raises(StoreError) as refused:
        await make_it().open()
    return str(refused.value)


async def test_an_address_of_another_kind_is_refused() -> None:
    for kind in KINDS:
        reason = await wrong_address(lambda kind=kind: make(kind, "http://u:p@127.0.0.1:1"))  # type: ignore[misc]
        assert "u:***@" in reason
