"""Locks that engines share on a server: Redis and NATS, with the server's own time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import nats
import pytest
from redis.asyncio import Redis
from tests.support.adapters import adapter
from tests.support.desk import Desk, running
from tests.support.servers import RedisServer, Server
from tests.support.waiting import until

from iii_engine.modules.adapters import NatsConfig
from iii_engine.modules.cron import CronModule, server_locks
from iii_engine.modules.cron.nats_locks import NatsLocks
from iii_engine.modules.cron.redis_locks import RedisLocks
from iii_engine.modules.cron.server_locks import ServerLocks

KINDS = ["redis", "nats"]
SECOND = 1_000_000_000

Make = Callable[..., ServerLocks]


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
async def make(server: Server, request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    """Locks of an owner; those of different engines are at the same server."""
    async with AsyncExitStack() as stack:

        async def made(owner: str, ttl_ms: int = 30_000) -> ServerLocks:
            locks: ServerLocks = (
                RedisLocks(server.url, owner, ttl_ms)
                if server.url.startswith("redis")
                else NatsLocks(NatsConfig(nats_url=server.url), owner, ttl_ms)
            )
            await locks.open()
            stack.push_async_callback(locks.close)
            return locks

        yield made


async def take(locks: ServerLocks, job: str, second: int, *, remember: bool = False) -> bool:
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    locks.acquire(job, second * SECOND, answer.set_result, remember=remember)
    return await answer


async def since(locks: ServerLocks, now: int, oldest: int = 0) -> int | None:
    """All in seconds."""
    answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    locks.since("job", now * SECOND, oldest * SECOND, answer.set_result)
    found = await answer
    return None if found is None else found // SECOND


async def test_a_tick_has_one_owner(make: Make) -> None:
    mine, other = await make("me"), await make("other")
    assert await take(mine, "job", 1)
    assert not await take(other, "job", 1)
    assert not await take(mine, "job", 1)
    assert await take(other, "job", 2)
    assert await take(other, "another", 1)


async def test_many_at_once_and_one_wins(make: Make) -> None:
    owners = [await make(f"owner{n}") for n in range(5)]
    for second in range(5):
        taken = await asyncio.gather(*(take(locks, "job", second) for locks in owners))
        assert sum(taken) == 1


async def test_a_lock_ends_by_its_time_and_lives_on_when_renewed(make: Make) -> None:
    mine, other = await make("me", 400), await make("other", 400)
    assert await take(mine, "kept", 1)
    assert await take(other, "left", 1)
    kept: list[bool] = []

    async def left_is_free() -> bool:
        mine.renew("kept", SECOND)
        kept.append(not await take(other, "kept", 1))
        return await take(mine, "left", 1)

    await until(left_is_free)
    assert all(kept)
    assert len(kept) > 1


async def test_another_owners_lock_is_not_renewed(make: Make) -> None:
    mine, other = await make("me", 300), await make("other", 300)
    assert await take(mine, "job", 1)
    await until(lambda: take(other, "job", 1))
    mine.renew("job", SECOND)
    await until(lambda: take(mine, "job", 1))


async def test_the_latest_run_is_remembered(make: Make) -> None:
    mine, other = await make("me"), await make("other")
    assert await since(mine, 1) == 1
    assert await take(mine, "job", 5, remember=True)
    assert await since(other, 9) == 5
    assert await take(other, "job", 3, remember=True)
    assert await since(mine, 9) == 5
    assert await take(other, "job", 7)
    assert await since(mine, 9, oldest=5) == 5
    assert await since(mine, 9, oldest=6) == 9


async def test_engines_that_ask_at_once_are_told_the_same(make: Make) -> None:
    owners = [await make(f"owner{n}") for n in range(5)]
    told = await asyncio.gather(*(since(locks, n + 1) for n, locks in enumerate(owners)))
    assert len(set(told)) == 1


async def test_a_tick_that_cannot_be_locked_does_not_run(
    make: Make, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_locks, "PATIENCE", 0.2)
    mine = await make("me")
    await asyncio.to_thread(server.stop)
    assert not await take(mine, "job", 1)
    assert "the locks of cron jobs cannot be reached" in caplog.text
    await asyncio.to_thread(server.start)
    second = iter(range(2, 1000))
    await until(lambda: take(mine, "job", next(second)))


@pytest.mark.parametrize("kind", KINDS)
async def test_modules_case_110_two_engines_run_each_tick_once(
    kind: str, request: pytest.FixtureRequest
) -> None:
    options = {"adapter": adapter(kind, request)}
    ticks = 8
    async with (
        running(CronModule, options, trigger_type="cron") as one,
        running(CronModule, options, trigger_type="cron") as other,
    ):
        desks: tuple[Desk, Desk] = (one, other)
        for desk in desks:
            desk.handler("job")
            desk.bind("t", "job", {"expression": "* * * * * *", "missed": "run_once"})
            await until(lambda desk=desk: desk.engine.next_deadline_ns() is not None)  # type: ignore[misc]
        for number in range(1, ticks + 1):
            for desk in desks:
                desk.advance(1)
            await until(lambda number=number: len(runs(desks)) >= number)  # type: ignore[misc]
            await until(lambda: not any(running_tasks(desk) for desk in desks))
    assert len(runs(desks)) == ticks
    assert len(set(runs(desks))) == ticks


def runs(desks: tuple[Desk, Desk]) -> list[str]:
    return [event["scheduled_time"] for desk in desks for event in desk.payloads("job")]


def running_tasks(desk: Desk) -> bool:
    """Whether its locks are still asking."""
    return bool(desk.module.locks._tasks)


@pytest.mark.parametrize("kind", KINDS)
async def test_two_engines_share_the_ticks_of_an_interval(
    kind: str, request: pytest.FixtureRequest
) -> None:
    options = {"adapter": adapter(kind, request)}
    async with (
        running(CronModule, options, trigger_type="cron") as one,
        running(CronModule, options, trigger_type="cron") as other,
    ):
        desks: tuple[Desk, Desk] = (one, other)
        for desk in desks:
            desk.handler("job")
            desk.bind("t", "job", {"interval": "3s"})
            await until(lambda desk=desk: desk.engine.next_deadline_ns() is not None)  # type: ignore[misc]
            for passing in desks:  # the other registers a second later
                passing.advance(1)
        for number in range(1, 5):
            for desk in desks:
                desk.advance(3)
            await until(lambda number=number: len(runs(desks)) >= number)  # type: ignore[misc]
            await until(lambda: not any(running_tasks(desk) for desk in desks))
    assert len(runs(desks)) == 4


async def test_what_others_wrote_as_the_latest_run_does_not_count(
    make: Make, server: Server
) -> None:
    mine = await make("me")
    assert await take(mine, "job", 1, remember=True)
    for second, text in enumerate((b"no number", b"1.5", b"9" * 30, b"\xff"), 2):
        await write_latest(server, text)
        assert await since(mine, second) == second
        await write_latest(server, text)
        assert await take(mine, "job", second, remember=True)
        assert await since(mine, 99) == second


async def write_latest(server: Server, text: bytes) -> None:
    """As another program at the server."""
    if server.url.startswith("redis"):
        async with Redis.from_url(server.url) as client:
            await client.set("cron_run:job", text)
        return
    client = await nats.connect(server.url)
    bucket = await client.jetstream().key_value("iii_cron_runs")
    await bucket.put("run.job", text)
    await client.close()


async def test_a_latest_run_of_another_type_is_said_and_takes_no_lock(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    locks = RedisLocks(redis_server.url, "me", 30_000)
    await locks.open()
    async with Redis.from_url(redis_server.url) as client:
        await client.lpush("cron_run:job", "x")
        assert not await take(locks, "job", 1, remember=True)
        assert "WRONGTYPE" in caplog.text
        await client.delete("cron_run:job")
    assert await take(locks, "job", 1, remember=True)
    await locks.close()


async def test_whatever_goes_wrong_the_job_is_told(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*arguments: object) -> None:
        raise KeyError("odd")

    mine = await make("me")
    for method in ("_take", "_since", "_prolong"):
        monkeypatch.setattr(mine, method, fail)
    assert not await take(mine, "job", 1)
    assert await since(mine, 1) is None
    assert caplog.text.count("KeyError: 'odd'") == 2


async def test_locks_whose_time_is_over_are_forgotten(make: Make) -> None:
    mine = await make("me", 200)
    for number in range(20):
        assert await take(mine, f"job{number}", 1)

    async def forgotten() -> bool:
        mine.renew("job3", SECOND)
        assert await take(mine, f"more{next(numbers)}", 1)
        return not any(key.startswith("job1") for key in mine._held)

    numbers = iter(range(1000))
    await until(forgotten)
    assert [key for key in mine._held if key.startswith("job")] == ["job3:1000"]


async def test_no_lock_is_lost_when_the_server_is_killed(make: Make, server: Server) -> None:
    mine, other = await make("me"), await make("other")
    taken: list[int] = []

    async def ticking() -> None:
        for second in range(1, 200):
            if await take(mine, "job", second, remember=True):
                taken.append(second)

    task = asyncio.create_task(ticking())
    for goal in (20, 60):
        await until(lambda goal=goal: len(taken) > goal)  # type: ignore[misc]
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    await task
    assert taken == list(range(1, 200))
    assert not any([await take(other, "job", second) for second in taken])
    assert await since(other, 999) == 199


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_server_of_locks_is_said_by_the_module(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_locks, "PATIENCE", 0.1)
    options = {"adapter": adapter(kind, request)}
    server: Server = request.getfixturevalue(f"{kind}_server")
    async with running(CronModule, options, trigger_type="cron") as desk:
        desk.handler("job")
        desk.bind("t", "job", {"expression": "* * * * * *"})
        await asyncio.to_thread(server.stop)

        def said() -> bool:
            desk.advance(1)
            return "cannot be reached" in desk.module.status()

        await until(said)
        await asyncio.to_thread(server.start)

        def well() -> bool:
            desk.advance(1)
            return bool(desk.module.status() == "running")

        await until(well)
