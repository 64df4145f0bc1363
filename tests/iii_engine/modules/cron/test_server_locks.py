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
from iii_engine.modules.cron import CronModule, redis_locks, server_locks
from iii_engine.modules.cron.nats_locks import NatsLocks
from iii_engine.modules.cron.redis_locks import RedisLocks
from iii_engine.modules.cron.server_locks import ServerLocks

KINDS = ["redis", "nats"]
SECOND = 1_000_000_000
#: Of a lock that a test lets end, and renews in time although the machine is busy.
BRIEF_MS = 2000

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
    mine, other = await make("me", BRIEF_MS), await make("other", BRIEF_MS)
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


@pytest.mark.promise(
    "Events",
    "On engines that share locks in Redis or NATS a run that takes longer than its interval meets "
    "no other one: as its policy says, ticks are skipped or wait.",
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("overlap", ["skip", "queue"])
async def test_runs_of_a_job_overlap_on_no_two_engines(
    kind: str, overlap: str, request: pytest.FixtureRequest
) -> None:
    options = with_ttl(kind, request, 600_000)  # of the server; time of the engines is virtual
    async with (
        running(CronModule, options, trigger_type="cron") as one,
        running(CronModule, options, trigger_type="cron") as other,
    ):
        desks: tuple[Desk, Desk] = (one, other)
        calls = [desk.handler("job", answer=None) for desk in desks]
        for desk in desks:  # 8 ticks, at 22:13:21 and so on
            desk.bind("t", "job", {"expression": "21-28 13 22 * * *", "overlap": overlap})

        async def pass_second() -> None:
            for desk in desks:
                desk.advance(1)
            await until(lambda: not any(running_tasks(desk) for desk in desks))

        for second in range(1, 9):
            await pass_second()
            going_on = [call for each in calls for call in each if not call.answered]
            assert len(going_on) == 1  # each run takes three seconds
            if second % 3 == 0:
                going_on[0].reply(b"null")
                await until(lambda: not any(running_tasks(desk) for desk in desks))

        async def all_ran() -> bool:
            for call in (call for each in calls for call in each):
                call.reply(b"null")
            await pass_second()
            return len(runs(desks)) >= (8 if overlap == "queue" else 3)

        await until(all_ran)
        for _ in range(3):
            await pass_second()
    assert len(set(runs(desks))) == len(runs(desks)) == (8 if overlap == "queue" else 3)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_job_goes_on_when_the_engine_of_its_run_is_gone(
    kind: str, request: pytest.FixtureRequest
) -> None:
    options = with_ttl(kind, request, 500)
    async with (
        running(CronModule, options, trigger_type="cron") as one,
        running(CronModule, options, trigger_type="cron") as other,
    ):
        for desk in (one, other):
            desk.handler("job", answer=None)
            desk.bind("t", "job", {"expression": "* * * * * *"})
        began = asyncio.get_running_loop().time()
        one.advance(1)
        await until(lambda: runs((one, other)))
        other.advance(1)  # that tick is taken

        async def taken_over() -> bool:
            other.advance(1)  # the time of the first engine stands still
            await until(lambda: not running_tasks(other))
            return len(other.payloads("job")) > 0

        await until(taken_over)
        assert asyncio.get_running_loop().time() - began > 0.4


def with_ttl(kind: str, request: pytest.FixtureRequest, ttl_ms: int) -> dict[str, object]:
    """Options of the module."""
    chosen = adapter(kind, request)
    return {"adapter": {**chosen, "config": {**chosen["config"], "lock_ttl_ms": ttl_ms}}}


async def run_alone(locks: ServerLocks, job: str) -> bool:
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    locks.begin(job, answer.set_result)
    return await answer


async def test_a_run_has_one_owner_until_it_ends(make: Make) -> None:
    mine, other = await make("me", BRIEF_MS), await make("other", BRIEF_MS)
    assert await run_alone(mine, "job")
    assert not await run_alone(other, "job")
    assert await run_alone(other, "another")
    other.end("job")
    assert not await run_alone(other, "job")
    mine.end("job")
    await until(lambda: run_alone(other, "job"))
    mine.end("job")
    kept: list[bool] = []

    async def kept_and_left() -> bool:
        other.keep("job")
        kept.append(not await run_alone(mine, "job"))
        return await run_alone(mine, "another")

    await until(kept_and_left)
    assert all(kept)
    assert len(kept) > 1


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


async def test_who_gives_up_opening_leaves_no_connection(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(redis_locks, "warn_of_loss", hang)
    async with Redis.from_url(redis_server.url) as client:

        async def connections(count: int) -> bool:
            return len(await client.client_list()) == count

        opening = asyncio.create_task(RedisLocks(redis_server.url, "me", 30_000).open())
        await until(lambda: connections(2))
        opening.cancel()
        await asyncio.wait([opening])
        await until(lambda: connections(1))


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


async def test_locks_whose_time_is_over_are_forgotten(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, now = await make("me"), 0.0
    monkeypatch.setattr(mine, "_now", lambda: now)
    for number in range(20):
        assert await take(mine, f"job{number}", 1)
    now = 20.0
    mine.renew("job3", SECOND)
    assert await take(mine, "early", 1)
    assert len(mine._held) == 21
    now = 30.0
    assert await take(mine, "late", 1)
    assert set(mine._held) == {"job3:1000", "early:1000", "late:1000"}


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
