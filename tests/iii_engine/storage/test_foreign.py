"""What other programs leave at a server: nobody else's works suffer from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import pytest
from nats.aio.client import Client
from redis.asyncio import Redis
from tests.iii_engine.storage.writing import keys, look, opened, put, submit
from tests.support.pieces import counted
from tests.support.servers import NatsServer, RedisServer, Server

from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.foreign import LOOKS, Sieve
from iii_engine.storage.nats.remote import NatsRemote
from iii_engine.storage.reads import Found, Page
from iii_engine.storage.redis.names import Names, PairNames
from iii_engine.storage.redis.remote import RedisRemote
from iii_engine.storage.remote import Remote, RemoteStore


@asynccontextmanager
async def at(server: NatsServer) -> AsyncIterator[Client]:
    """Another program at the same server."""
    client = await nats.connect(server.url)
    try:
        yield client
    finally:
        await client.close()


def count(t: Transaction) -> int:
    number = int(t.get("state/s", "n") or 0) + 1
    t.put("state/s", "n", b"%d" % number)
    return number


# -- types ---------------------------------------------------------------------------------------


async def test_works_beside_one_on_a_key_of_another_type_are_made_once(
    redis_store: RemoteStore, redis: Redis
) -> None:
    await redis.set("state:text", "no hash")
    asked = [submit(redis_store, count) for _ in range(4)]
    blind = submit(redis_store, lambda t: t.put("state/text", "k", b"1"))
    asked += [submit(redis_store, count) for _ in range(3)]
    with pytest.raises(StoreError, match="state:text is a string, no hash"):
        await blind
    assert await asyncio.gather(*asked) == list(range(1, 8))
    assert await redis.hget("state:s", "n") == b"7"
    assert await redis.get("state:text") == b"no hash"


@pytest.mark.parametrize(("key", "wanted"), [("state:t", "hash"), ("iii:order:state:t", "zset")])
async def test_a_commit_that_meets_a_wrong_type_writes_nothing(
    redis_store: RemoteStore, redis: Redis, key: str, wanted: str
) -> None:
    remote = redis_store._remote
    assert await remote.commit("engine:1", {}, [("state/t", "k", b"0")])
    await redis.delete(key)
    await redis.lpush(key, "mine")
    for write in (("state/t", "k", b"1"), ("state/t", "k", None), ("state/t", None, None)):
        with pytest.raises(StoreError, match=f"WRONGTYPE {key} is a list, no {wanted}"):
            await remote.commit("engine:2", {}, [("state/s", "k", b"1"), write])
    assert not await redis.exists("state:s", "iii:order:state:s")
    assert await redis.lrange(key, 0, -1) == [b"mine"]


async def test_a_commit_that_the_server_forbids_in_the_middle_writes_nothing(
    redis_store: RemoteStore, redis: Redis, redis_server: RedisServer
) -> None:
    rights = ["on", ">pw", "+@all", "~state:*", "~iii:commit:*", "~iii:order:state:s"]
    await redis.execute_command("ACL", "SETUSER", "me", *rights)
    url = redis_server.url.replace("//", "//me:pw@")
    async with opened(RemoteStore(RedisRemote(url, Names("state/", "state:")))) as other:

        def both(t: Transaction) -> None:
            t.put("state/s", "k", b"1")
            t.put("state/t", "k", b"1")

        with pytest.raises(StoreError, match="this user may not ZADD iii:order:state:t"):
            await submit(other, both)
        assert not await redis.exists("state:s", "state:t")
        await put(other, "state/s", "k")


# -- names ---------------------------------------------------------------------------------------


async def test_names_that_are_no_text_are_left_out_and_fail_nobody(
    redis_store: RemoteStore, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await put(redis_store, "state/s", "a", "b")
    await redis.hset("state:s", mapping={b"\xff": "1", "\u00e4\u20ac\U0001f600": "2"})
    await redis.hset("state:s", b"\xed\xa0\x80", "3")
    await redis.hset(b"state:\xfe", "k", "1")
    listed, spaces, number = await asyncio.gather(
        look(redis_store, lambda t: list(t.items("state/s"))),
        look(redis_store, lambda t: t.spaces("state/")),
        look(redis_store, lambda t: t.get("state/s", "a")),
    )
    assert listed == [("a", b"1"), ("b", b"1"), ("\u00e4\u20ac\U0001f600", b"2")]
    assert spaces == ["state/s"]
    assert number == b"1"
    page = await look(redis_store, lambda t: list(t.items("state/s", limit=2, offset=1)))
    assert [key for key, _ in page] == ["b", "\u00e4\u20ac\U0001f600"]
    assert [r.levelno for r in caplog.records if "no name of ours" in r.getMessage()] == [
        logging.WARNING
    ]


async def test_what_is_read_beside_such_names_can_be_changed(
    redis_store: RemoteStore, redis: Redis
) -> None:
    await redis.hset("state:s", mapping={b"\xff": "1", "k": "2"})
    await redis.hset(b"state:\xfe", "k", "1")

    def work(t: Transaction) -> int:
        found = len(list(t.items("state/s"))) + len(t.spaces("state/"))
        t.put("state/s", "sum", b"%d" % found)
        return found

    assert await submit(redis_store, work) == 2
    assert await redis.hget("state:s", "sum") == b"2"


async def test_hashes_that_are_no_group_of_a_stream_are_none_of_ours(
    redis: Redis, redis_server: RedisServer
) -> None:
    def work(t: Transaction) -> list[str]:
        found = t.spaces("stream/")
        t.put("stream/chat/room", "seen", b"1")
        return found

    remote = RedisRemote(redis_server.url, PairNames("stream/", "stream:"))
    async with opened(RemoteStore(remote)) as store:
        await put(store, "stream/chat/room", "k")
        await redis.hset("stream:alone", "k", "1")
        assert await submit(store, work) == ["stream/chat/room"]


# -- NATS ----------------------------------------------------------------------------------------


async def test_keys_of_a_bucket_that_no_record_has_are_left_out_and_fail_nobody(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    made = RemoteStore(NatsRemote(nats_server.url, "b"))
    async with opened(made) as store, at(nats_server) as client:
        await put(store, "s", "k")
        context = client.jetstream()
        for key in ("s.=FF", "s.=6B", "alone", "=FF.k", "a.b.c", "s." + "é" * 900):
            await context.publish(f"$KV.b.{key}", b"1")
        await context.publish("$KV.b.s.l", b"2", headers={"Iii-Order": "9" * 5000})
        client._transport.write(b"PUB $KV.b.s.\xff 1\r\n1\r\nPUB $KV.b.\xfe.\xff 1\r\n1\r\n")
        await client.flush()
        listed, spaces, value, total = await asyncio.gather(
            keys(store, "s"),
            look(store, lambda t: t.spaces()),
            look(store, lambda t: t.get("s", "k")),
            look(store, lambda t: t.count("s")),
        )
    assert (listed, spaces, value, total) == (["l", "k"], ["s"], b"1", 2)
    assert len([r for r in caplog.records if "no name of ours" in r.getMessage()]) == 1


# -- values --------------------------------------------------------------------------------------

#: What no reader of JSON takes, or not every one.
BAD = [b"no json", b"", b'"\xff"', b"[" * 300 + b"]" * 300, b"1" * 5000]


@asynccontextmanager
async def holding(kind: str, server: Server) -> AsyncIterator[RemoteStore]:
    """A store with the records `a` and `b`, and others' values between them and behind."""
    remote: Remote
    if kind == "redis":
        remote = RedisRemote(server.url, Names("state/", "state:"))
    else:
        remote = NatsRemote(server.url, "b")
    async with opened(RemoteStore(remote)) as store:
        await put(store, "state/s", "a", "bad1", "b")
        if kind == "redis":
            async with Redis.from_url(server.url) as client:
                for number, value in enumerate(BAD):
                    await client.hset("state:s", f"bad{number}", value)
        else:
            context = (client := await nats.connect(server.url)).jetstream()
            for number, value in enumerate(BAD):
                await context.publish(f"$KV.b.state/s.bad{number}", value)
            await client.close()
        yield store


@pytest.mark.promise(
    "Adapters",
    "Values that other programs wrote to Redis or NATS and that are no JSON are refused by name, "
    "left out of lists, and not overwritten.",
)
@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_values_that_no_reader_takes_reach_nobody(
    kind: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    async with holding(kind, request.getfixturevalue(f"{kind}_server")) as store:
        assert await keys(store, "state/s") == ["a", "b"]
        assert await look(store, lambda t: t.count("state/s")) == 2 + len(BAD)
        for number in range(len(BAD)):
            key = f"bad{number}"
            with pytest.raises(StoreError, match=f"the value of '{key}' in 'state/s' is no JSON"):
                await look(store, lambda t, key=key: t.get("state/s", key))  # type: ignore[misc]
            with pytest.raises(StoreError, match="is no JSON"):
                await submit(store, lambda t, key=key: t.delete("state/s", key))  # type: ignore[misc]
        assert await look(store, lambda t: t.get("state/s", "a")) == b"1"
        assert await submit(store, lambda t: t.delete_space("state/s")) == 2 + len(BAD)
        assert await keys(store, "state/s") == []
    assert len([r for r in caplog.records if "is no JSON" in r.getMessage()]) == 1


async def test_a_list_with_such_values_can_be_changed_by_what_it_says(
    redis_server: RedisServer,
) -> None:
    def work(t: Transaction) -> list[str]:
        found = [key for key, _ in t.items("state/s")]
        t.put("state/s", "c", b"%d" % len(found))
        return found

    async with holding("redis", redis_server) as store:
        assert await submit(store, work) == ["a", "b"]
        assert await look(store, lambda t: t.get("state/s", "c")) == b"2"


@pytest.mark.parametrize("count", [0, 1, LOOKS, 3 * LOOKS])
def test_a_long_page_is_sifted_in_pieces(count: int) -> None:
    values = [(f"k{number}", b"x" if number % 2 else b"1") for number in range(count)]
    found, pieces = counted(Sieve("s").sift(Page("s", "", None, 0), Found(list(values))))
    assert (found.shown or []) == (values[::2] if count > 1 else [])
    assert pieces >= count / LOOKS
