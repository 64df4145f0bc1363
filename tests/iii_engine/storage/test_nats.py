"""What is particular to the store over NATS: one record at a time, names, sizes, logins."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from tests.iii_engine.storage.writing import keys, look, put, submit
from tests.support.servers import NatsServer

from iii_engine.net.nats_client import text_of, token
from iii_engine.storage.base import Store, StoreError, Transaction
from iii_engine.storage.nats.remote import NatsRemote, NotSupported
from iii_engine.storage.remote import RemoteStore


@pytest.fixture
async def store(nats_server: NatsServer) -> AsyncIterator[RemoteStore]:
    made = RemoteStore(NatsRemote(nats_server.url, "iii_state"))
    await made.open()
    yield made
    await made.close()


async def test_a_record_is_a_key_of_a_bucket(store: Store, nats_server: NatsServer) -> None:
    await put(store, "state/users", "a.b c", value=b'{"n":1}')
    client = await nats.connect(nats_server.url)
    bucket = await client.jetstream().key_value("iii_state")
    entry = await bucket.get("state/users.a=2Eb=20c")
    assert json.loads(entry.value or b"") == {"n": 1}
    await bucket.put("state/users.other", b"2")
    assert await keys(store, "state/users") == ["other", "a.b c"]
    await client.close()


@pytest.mark.parametrize("name", ["", "=", "a=2E", "ä.*>", "a b", "x" * 500, "\x00"])
def test_any_text_is_a_token_and_back(name: str) -> None:
    assert set(token(name)).isdisjoint(" .*>")
    assert text_of(token(name)) == name


async def test_what_needs_several_records_is_refused_whole(store: Store) -> None:
    await put(store, "s", "k", "l")

    def two(t: Transaction) -> None:
        t.put("s", "k", b"2")
        t.put("s", "l", b"2")

    def one_of_two(t: Transaction) -> None:
        t.put("s", "k", t.get("s", "l") or b"")

    def after_a_look(t: Transaction) -> None:
        if t.count("s"):
            t.put("s", "k", b"2")

    for work in (two, one_of_two, after_a_look):
        with pytest.raises(NotSupported, match="several"):
            await submit(store, work)
    assert await look(store, lambda t: list(t.items("s"))) == [("k", b"1"), ("l", b"1")]


async def test_works_on_other_records_share_a_commit_with_one_that_is_refused(
    store: Store,
) -> None:
    asked = [submit(store, lambda t, n=n: t.put("s", str(n), b"1")) for n in range(50)]
    ended = submit(store, lambda t: t.delete_space("s"))
    asked += [submit(store, lambda t, n=n: t.put("s", str(n), b"2")) for n in range(3)]
    await asyncio.gather(*asked)
    assert await ended == 50
    assert await keys(store, "s") == ["0", "1", "2"]


async def test_a_value_that_is_too_large_is_refused_and_others_are_not(store: Store) -> None:
    large = submit(store, lambda t: t.put("s", "large", b"x" * 2**20))
    small = submit(store, lambda t: t.put("s", "small", b"1"))
    with pytest.raises(StoreError, match=r"takes no 1,048,576 bytes \(max_payload 1,048,576\)"):
        await large
    await small
    assert await keys(store, "s") == ["small"]


async def test_names_that_are_too_long_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="too long for NATS"):
        await submit(store, lambda t: t.put("s", "k" * 4000, b"1"))
    with pytest.raises(StoreError, match="too long for NATS"):
        await look(store, lambda t: t.get("s", "k" * 4000))
    await put(store, "s", "k")


async def test_deleted_records_leave_nothing_behind(store: Store, nats_server: NatsServer) -> None:
    for n in range(5):
        await put(store, "s", str(n))
        await submit(store, lambda t, n=n: t.delete("s", str(n)))
    client = await nats.connect(nats_server.url)
    info = await client.jetstream().stream_info("KV_iii_state")
    assert info.state.messages == 0
    await client.close()


class GuardedServer(NatsServer):
    """One that wants a password."""

    @property
    def url(self) -> str:
        return f"nats://me:s3cret@127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        return [*super()._command(), "--user", "me", "--pass", "s3cret"]

    def _answers(self, connection: socket.socket) -> bool:
        return b'"jetstream":true' in connection.recv(4096)


async def test_a_wrong_password_is_said_and_not_shown(tmp_path: Path) -> None:
    server = GuardedServer(tmp_path / "nats")
    await asyncio.to_thread(server.start)
    store = RemoteStore(NatsRemote(server.url, "b"))
    await store.open()
    await put(store, "s", "k")
    await store.close()
    with pytest.raises(StoreError, match="refuses the login") as refused:
        await RemoteStore(NatsRemote(server.url.replace("s3cret", "gu3ss"), "b")).open()
    assert "gu3ss" not in str(refused.value)
    server.close()


async def test_a_server_without_jetstream_is_refused(tmp_path: Path) -> None:
    class Plain(NatsServer):
        def _command(self) -> list[str]:
            return ["nats-server", "-a", "127.0.0.1", "-p", str(self.port)]

        def _answers(self, connection: socket.socket) -> bool:
            return connection.recv(4096).startswith(b"INFO")

    server = Plain(tmp_path / "nats")
    await asyncio.to_thread(server.start)
    with pytest.raises(StoreError, match="JetStream is not available"):
        await RemoteStore(NatsRemote(server.url, "b")).open()
    server.close()


async def test_a_list_has_each_record_once_while_others_write(nats_server: NatsServer) -> None:
    one, two = (RemoteStore(NatsRemote(nats_server.url, "iii_state")) for _ in range(2))
    await one.open()
    await two.open()
    names = [str(n) for n in range(200)]
    await put(two, "s", *names)
    writing = True

    async def write(names: list[str]) -> None:
        while writing:
            for name in names:
                await submit(two, lambda t, name=name: t.put("s", name, b"2"))

    async def come_and_go(name: str) -> None:
        while writing:
            await put(two, "s", name)
            await submit(two, lambda t: t.delete("s", name))

    tasks = [asyncio.ensure_future(write(names[n::8])) for n in range(8)]
    tasks += [asyncio.ensure_future(come_and_go(f"x{n}")) for n in range(2)]
    lists = [await keys(one, "s") for _ in range(20)]
    counts = [await look(one, lambda t: t.count("s")) for _ in range(10)]
    writing = False
    await asyncio.gather(*tasks)
    await one.close()
    await two.close()
    for found in lists:
        assert sorted(set(found)) == sorted(found)
        assert set(found) - {"x0", "x1"} == set(names)
    assert {200, 201, 202} >= set(counts)


async def test_a_list_ends_although_its_records_go_meanwhile(nats_server: NatsServer) -> None:
    store = RemoteStore(NatsRemote(nats_server.url, "iii_state"))
    await store.open()
    writing = True

    async def come_and_go() -> None:
        while writing:
            await put(store, "s", "x")
            await submit(store, lambda t: t.delete("s", "x"))

    tasks = [asyncio.ensure_future(come_and_go())]
    begin = asyncio.get_running_loop().time()
    for _ in range(100):
        assert await keys(store, "s") in ([], ["x"])
    writing = False
    await asyncio.gather(*tasks)
    await store.close()
    assert asyncio.get_running_loop().time() - begin < 5
