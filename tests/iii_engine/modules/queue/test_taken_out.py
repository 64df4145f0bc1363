"""The module when a reload takes it out, or when it cannot start: nothing of it goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from tests.support.queue_engine import Shared, adapter_of, holds, shared
from tests.support.servers import RedisServer
from tests.support.waiting import until

from iii_engine.core.router import Call


async def test_a_job_that_outlives_the_module_runs_once_more_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("iii_engine.module_set.DRAIN_SECONDS", 0.05)
    async with shared(None, q={"max_retries": 3}) as (engine,):
        calls: list[Call] = []
        engine.core.add_function("work", calls.append, module="test")
        await engine.enqueue("q", "work", 1)
        await until(lambda: calls)
        config = engine.config
        others = tuple(each for each in config.entries if each.name != "iii-queue")
        for each in (replace(config, entries=others), config):
            assert await engine.app.apply(engine.app.prepare(each)) == []
        await until(lambda: len(calls) == 2)
        calls[0].fail("broken", "too late")
        await asyncio.sleep(0)
        calls[1].reply()
        await until(lambda: holds(engine, "q", (0, 0)))
        await until(lambda: not kept(engine))


def kept(engine: Shared) -> list[str]:
    """Where jobs are in the store."""
    return engine.app.store.read(
        lambda t: [space for space in t.spaces("queue/") if t.count(space)]
    )


async def test_a_start_that_fails_leaves_no_connection(redis_server: RedisServer) -> None:
    async with Redis.from_url(redis_server.url) as client:
        await client.set("iii:queue:topics", "no table")
        engine = Shared(None)
        await engine.start()
        tasks, config = len(asyncio.all_tasks()), engine.config
        connections = len(await client.client_list())
        engine.configure({"iii-queue": {"adapter": adapter_of("redis", redis_server.url)}})
        problems = await engine.app.apply(engine.app.prepare(engine.config))
        assert "WRONGTYPE" in str(problems)

        async def as_before() -> bool:
            return len(await client.client_list()) <= connections

        await until(as_before)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert await engine.app.apply(engine.app.prepare(config)) == []
        await engine.stop()
