"""Leases in a real Redis: kept while it is full, and noticed when another engine has them."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
import redis
from tests.support.queue_engine import Shared, running, shared
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_sdk.errors import BusError

LEASES = "iii:queue:__fn_queue::q:leases"


def never_answers(engine: Shared) -> list[Call]:
    calls: list[Call] = []
    engine.core.add_function("work", calls.append, module="test")
    return calls


async def test_a_full_redis_renews_leases_takes_no_jobs_and_says_so(
    redis_server: RedisServer,
) -> None:
    async with shared(redis_server, q={"max_retries": 1}) as (engine,):
        calls = never_answers(engine)
        await engine.enqueue("q", "work", 1)
        await until(lambda: len(calls) == 1)
        with redis.Redis.from_url(redis_server.url) as client:
            client.config_set("maxmemory", 1)
            first = client.zrange(LEASES, 0, 0, withscores=True)[0][1]
            await until(lambda: client.zrange(LEASES, 0, 0, withscores=True)[0][1] > first)
            with pytest.raises(BusError, match="maxmemory"):
                await engine.enqueue("q", "work", 2)
            await until(lambda: "maxmemory" in engine.status)
            calls[0].fail("broken", "it dies in a full server")
            await until(lambda: running(engine) == 0)
            await until(lambda: client.llen("iii:queue:__fn_queue::q:dlq") == 1)
            client.config_set("maxmemory", 0)
            await until(lambda: engine.status == "running")
        assert len(calls) == 1


async def test_a_server_that_renews_nothing_is_warned_of(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with shared(redis_server, q={}) as (engine,):
        calls = never_answers(engine)
        await engine.enqueue("q", "work", 1)
        await until(lambda: len(calls) == 1)
        with (
            caplog.at_level(logging.WARNING, "iii.queue"),
            redis.Redis.from_url(redis_server.url) as client,
        ):
            client.replicaof("127.0.0.1", free_port())
            await until(lambda: "read only" in engine.status)
            await until(lambda: "leases of jobs are not renewed" in caplog.text)
            client.replicaof("NO", "ONE")
            await until(lambda: engine.status == "running")
        assert caplog.text.count("leases of jobs are not renewed") == 1
        calls[0].reply()


async def test_the_worker_that_lost_its_lease_is_told(redis_server: RedisServer) -> None:
    queue = {"visibility_timeout_ms": 60_000}
    async with shared(redis_server, 2, q=queue) as (one, two):
        before = never_answers(one)
        job = await one.enqueue("q", "work", 1)
        await until(lambda: len(before) == 1)
        after = never_answers(two)
        broker = one.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
        broker.leases.close()  # as if it stood still for longer than a lease
        await until(lambda: len(after) == 1)

        async def beat(engine: Shared, call: Call) -> bool:
            told = json.loads(bytes(call.metadata))["iii_queue"]
            request = {"queue": "q", "message_id": job, "token": told["token"]}
            answer = await engine.ask("iii::queue::heartbeat", request)
            renewed: bool = answer["renewed"]
            return renewed

        broker.leases.renew()
        await until(lambda: running(one) == 0)
        assert await asyncio.gather(beat(one, before[0]), beat(two, after[0])) == [False, True]
        before[0].reply()
        assert running(two) == 1
        after[0].reply()
        await until(lambda: running(two) == 0)
