"""What is particular to the store over Redis: its layout, foreign writers, passwords."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis.asyncio import Redis
from tests.iii_engine.storage.writing import keys, look, put, submit
from tests.support.servers import RedisServer
from tests.support.waiting import until

from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.redis.names import Names, PairNames
from iii_engine.storage.redis.remote import RedisRemote
from iii_engine.storage.remote import RemoteStore


async def test_a_scope_is_a_hash_of_json_texts(redis_store: RemoteStore, redis: Redis) -> None:
    await put(redis_store, "state/users", "u1", value=b'{"a":{},"b":[]}')
    assert await redis.hgetall("state:users") == {b"u1": b'{"a":{},"b":[]}'}
    names = [key async for key in redis.scan_iter("state:*")]
    assert names == [b"state:users"]
    await submit(redis_store, lambda t: t.delete("state/users", "u1"))
    left = {key async for key in redis.scan_iter("*") if not key.startswith(b"iii:commit:")}
    assert left == set()


async def test_what_others_wrote_is_there(redis_store: RemoteStore, redis: Redis) -> None:
    await put(redis_store, "state/s", "b", "a")
    await redis.hset("state:s", mapping={"y": "1", "x": "2"})
    await redis.hset("state:s", "a", "3")
    await redis.set("state:text", "no hash")
    assert await keys(redis_store, "state/s") == ["b", "a", "x", "y"]
    page = await look(redis_store, lambda t: list(t.items("state/s", limit=2, offset=1)))
    assert page == [("a", b"3"), ("x", b"2")]
    assert await look(redis_store, lambda t: t.spaces("state/")) == ["state/s"]
    await redis.hdel("state:s", "b")
    assert await look(redis_store, lambda t: list(t.items("state/s", limit=1))) == [("a", b"3")]
    assert await look(redis_store, lambda t: t.count("state/s")) == 3


async def test_a_key_of_another_type_fails_only_who_wants_it(
    redis_store: RemoteStore, redis: Redis
) -> None:
    await redis.set("state:text", "no hash")
    asked = [submit(redis_store, lambda t, n=n: t.put("state/s", n, b"1")) for n in "abc"]
    blind = submit(redis_store, lambda t: t.put("state/text", "k", b"1"))
    asked += [submit(redis_store, lambda t, n=n: t.put("state/s", n, b"1")) for n in "de"]
    with pytest.raises(StoreError, match="WRONGTYPE"):
        await blind
    await asyncio.gather(*asked)
    assert await keys(redis_store, "state/s") == ["a", "b", "c", "d", "e"]
    with pytest.raises(StoreError, match="WRONGTYPE"):
        await look(redis_store, lambda t: t.get("state/text", "k"))


async def test_a_work_runs_again_when_another_was_faster(
    redis_store: RemoteStore, redis: Redis
) -> None:
    seen: list[tuple[object, ...]] = []

    def work(t: Transaction) -> None:
        found = t.get("state/s", "k"), t.count("state/t"), [k for k, _ in t.items("state/u")]
        seen.append((*found, t.spaces("state/v")))
        t.put("state/s", "k", b'"mine"')

    changes = [
        lambda: redis.hset("state:s", "k", '"theirs"'),
        lambda: redis.hset("state:t", "k", "1"),
        lambda: redis.hset("state:u", "k", "1"),
        lambda: redis.hset("state:v", "k", "1"),
    ]
    fetch = redis_store._remote.fetch

    async def slow(reads):  # type: ignore[no-untyped-def]
        found = await fetch(reads)
        if changes:
            await changes.pop(0)()
        return found

    redis_store._remote.fetch = slow  # type: ignore[method-assign]
    await submit(redis_store, work)
    assert seen[-1] == (b'"theirs"', 1, ["k"], ["state/v"])
    assert not changes
    assert await redis.hget("state:s", "k") == b'"mine"'


async def test_a_commit_that_is_sent_again_does_nothing(
    redis_store: RemoteStore, redis: Redis
) -> None:
    remote = redis_store._remote
    assert await remote.commit("engine:1", {}, [("state/s", "k", b"1")])
    await redis.hset("state:s", "k", "2")
    assert await remote.commit("engine:1", {}, [("state/s", "k", b"1")])
    assert await redis.hget("state:s", "k") == b"2"
    assert await remote.commit("engine:2", {}, [("state/s", "k", b"3")])
    assert await redis.hget("state:s", "k") == b"3"


async def test_thousands_of_records(redis_store: RemoteStore) -> None:
    def fill(t: Transaction) -> None:
        for n in range(9000):
            t.put("state/s", f"k{n}", b"%d" % n)

    await submit(redis_store, fill)
    found = await look(redis_store, lambda t: list(t.items("state/s")))
    assert found == [(f"k{n}", b"%d" % n) for n in range(9000)]
    page = await look(
        redis_store, lambda t: list(t.items("state/s", prefix="k89", limit=2, offset=1))
    )
    assert page == [("k890", b"890"), ("k891", b"891")]
    assert await submit(redis_store, lambda t: t.delete_space("state/s")) == 9000


async def test_a_wrong_password_is_said_and_not_shown(
    redis_server: RedisServer, redis: Redis
) -> None:
    await redis.config_set("requirepass", "s3cret")
    right = redis_server.url.replace("//", "//:s3cret@")
    store = RemoteStore(RedisRemote(right, Names("", "")))
    await store.open()
    await put(store, "s", "k")
    await store.close()
    wrong = redis_server.url.replace("//", "//:gu3ss@")
    with pytest.raises(StoreError, match="refuses the login") as refused:
        await RemoteStore(RedisRemote(wrong, Names("", ""))).open()
    assert "gu3ss" not in str(refused.value)


@pytest.mark.parametrize(
    ("space", "key"),
    [
        ("stream/chat/room:1", b"stream:chat:room:1"),
        ("stream//", b"stream::"),
        ("stream/a:b/c/d", b"stream:a%3Ab:c/d"),
        ("stream/a%2Fb/%25", b"stream:a/b:%25"),
        ("stream/a%253A/g", b"stream:a%253A:g"),
    ],
)
def test_names_of_two_parts(space: str, key: bytes) -> None:
    names = PairNames("stream/", "stream:")
    assert names.hash_of(space) == key
    assert names.space_of(key) == space
    assert names.pattern("stream/") == b"stream:*"
    assert names.pattern("stream/s*/") == b"stream:s\\*:*"


async def test_a_server_that_forgets_is_warned_of(
    redis_server: RedisServer, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    for setting, warned in (("yes", False), ("no", True)):
        await redis.config_set("appendonly", setting)
        store = RemoteStore(RedisRemote(redis_server.url, Names("", "")))
        with caplog.at_level(logging.WARNING, "iii.storage"):
            await store.open()
        await store.close()
        assert ("no append-only file" in caplog.text) is warned


async def test_a_full_server_is_read_and_emptied_and_health_knows(
    redis_store: RemoteStore, redis: Redis
) -> None:
    await put(redis_store, "state/s", "a", "b", "c")
    await redis.config_set("maxmemory", 1)
    try:
        await until(lambda: "maxmemory" in (redis_store.problem or ""))
        assert await keys(redis_store, "state/s") == ["a", "b", "c"]
        assert await look(redis_store, lambda t: (t.get("state/s", "a"), t.count("state/s")))
        assert redis_store.problem is not None
        with pytest.raises(StoreError, match="maxmemory"):
            await put(redis_store, "state/s", "d")
        await submit(redis_store, lambda t: t.get("state/s", "a") and t.delete("state/s", "a"))
        assert await keys(redis_store, "state/s") == ["b", "c"]
        await submit(redis_store, lambda t: t.delete_space("state/s"))
        assert await keys(redis_store, "state/s") == []
    finally:
        await redis.config_set("maxmemory", 0)
    await until(lambda: redis_store.problem is None)


async def test_a_server_that_drops_records_to_make_room_is_a_problem(
    redis_server: RedisServer, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    await redis.config_set("maxmemory", "1gb")
    store = RemoteStore(RedisRemote(redis_server.url, Names("", "")))
    with caplog.at_level(logging.WARNING, "iii.redis"):
        await store.open()
    try:
        assert "maxmemory-policy allkeys-lru; noeviction keeps it" in caplog.text
        await until(lambda: "maxmemory-policy" in (store.problem or ""))
        await redis.config_set("maxmemory-policy", "noeviction")
        await until(lambda: store.problem is None)
    finally:
        await store.close()
        await redis.config_set("maxmemory", 0)
        await redis.config_set("maxmemory-policy", "noeviction")


async def test_who_may_not_ask_for_the_memory_is_silent(
    redis_server: RedisServer, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await redis.execute_command(
        "ACL", "SETUSER", "plain", "on", ">pw", "~*", "+@all", "-info", "-zadd"
    )
    url = redis_server.url.replace("redis://", "redis://plain:pw@")
    store = RemoteStore(RedisRemote(url, Names("", "")))
    with caplog.at_level(logging.WARNING, "iii.redis"):
        await store.open()
    await store._remote.greet()
    await store.close()
    await redis.execute_command("ACL", "DELUSER", "plain")
    assert caplog.text == ""
