"""What every adapter of `iii-queue` does, against the real server where it has one."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, Final, TypeAlias

import pytest
from tests.support.queue_engine import Shared, has_dead, holds, knows, running, shared
from tests.support.servers import NatsServer, RabbitServer, Server
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.modules.queue.jetstream.options import REFUSALS as NATS
from iii_engine.modules.queue.rabbitmq.options import REFUSALS as RABBITMQ
from iii_engine.modules.queue.redis.options import REFUSALS as REDIS
from iii_sdk.errors import BusError

#: As the fixture `place` has it.
Place: TypeAlias = Server | str | None


def names_jobs(place: Place) -> bool:
    """Whether jobs can be told apart before they run."""
    return not isinstance(place, RabbitServer)


async def test_a_job_runs_and_is_gone(place: Place) -> None:
    async with shared(place) as (engine,):
        heard = engine.function("work")
        receipt = await engine.enqueue("default", "work", {"n": 1})
        assert receipt
        await until(lambda: heard == [{"n": 1}])
        await until(lambda: holds(engine, "default", (0, 0)))


async def test_a_job_that_fails_is_tried_again_and_dies_at_last(
    place: Place,
) -> None:
    queues = {"q": {"max_retries": 2, "backoff_ms": 50}}
    async with shared(place, **queues) as (engine,):
        heard = engine.function("work", "one", "two", "three")
        receipt = await engine.enqueue("q", "work", 7)
        await until(lambda: holds(engine, "q", (0, 1)))
        assert heard == [7, 7]
        (dead,) = await until(lambda: engine.dead("q"))
        assert dead["error"] == "broken: two"
        redriven = await engine.ask("iii::queue::redrive", {"queue": "q"})
        assert redriven["redriven"] == 1
        await until(lambda: len(heard) == 4)
        await until(lambda: holds(engine, "q", (0, 0)))
        assert receipt


async def test_dead_jobs_are_listed_newest_first_and_can_be_forgotten(
    place: Place,
) -> None:
    async with shared(place, q={"max_retries": 1}) as (engine,):
        engine.function("work", *"abc")
        jobs: list[str] = []
        for n in range(3):
            jobs.append(await engine.enqueue("q", "work", n))
            await until(lambda n=n: has_dead(engine, "q", n + 1))
        query = {"topic": "q", "offset": 1, "limit": 1}
        (second,) = await engine.ask("engine::queue::dlq_messages", query)
        assert second["payload"] == 1
        answer = await engine.ask(
            "iii::queue::discard_message", {"queue": "q", "message_id": jobs[1]}
        )
        assert answer["redriven"] == 1
        assert await engine.stats("q") == (0, 2)
        assert [dead["payload"] for dead in await engine.dead("q")] == [2, 0]


async def test_a_delayed_job_waits(place: Place) -> None:
    async with shared(place) as (engine,):
        heard = engine.function("work")
        begin = asyncio.get_running_loop().time()
        await engine.enqueue("default", "work", "late", delay_ms=400)
        await until(lambda: heard == ["late"])
        assert asyncio.get_running_loop().time() - begin >= 0.39


async def test_the_same_job_is_stored_once(place: Place) -> None:
    if not names_jobs(place):
        async with shared(place) as (engine,):
            with pytest.raises(BusError, match="not possible with the adapter"):
                await engine.enqueue("default", "work", 1, idempotency_key="k")
        return
    async with shared(place) as (engine,):
        heard = engine.function("work")
        first = await engine.enqueue("default", "work", 1, idempotency_key="k")
        assert await engine.enqueue("default", "work", 2, idempotency_key="k") == first
        await until(lambda: holds(engine, "default", (0, 0)))
        assert heard == [1]


async def test_a_topic_in_order_is_one_line(place: Place) -> None:
    async with shared(place) as (engine,):
        heard = engine.function("work", "once")
        config = {"type": "fifo", "backoffDelayMs": 50}
        assert engine.bind("t", "work", config) is None
        await until(lambda: knows(engine, "t"))
        for n in range(6):
            await engine.ask("iii::durable::publish", {"topic": "t", "data": n, "key": str(n)})
        await until(lambda: len(heard) == 7)
        assert heard == [0, 0, 1, 2, 3, 4, 5]


async def test_a_job_can_be_cancelled_while_it_waits(place: Place) -> None:
    async with shared(place) as (engine,):
        heard = engine.function("work")
        job = await engine.enqueue("default", "work", 1, delay_ms=60_000)
        query = {"queue": "default", "message_id": job}
        if not names_jobs(place):
            for function in ("status", "cancel"):
                with pytest.raises(BusError, match="only while they run"):
                    await engine.ask(f"iii::queue::{function}", query)
            return
        assert (await engine.ask("iii::queue::status", query))["state"] == "delayed"
        assert (await engine.ask("iii::queue::cancel", query))["cancelled"]
        assert not (await engine.ask("iii::queue::cancel", query))["cancelled"]
        assert heard == []


async def test_a_job_can_be_cancelled_while_it_runs(place: Place) -> None:
    async with shared(place) as (engine,):
        engine.core.add_function("work", lambda call: None, module="test")
        job = await engine.enqueue("default", "work", 1)
        await until(lambda: running(engine) == 1)
        query = {"queue": "default", "message_id": job}
        answer = await engine.ask("iii::queue::cancel", query)
        assert (answer["cancelled"], answer["was"]) == (True, "active")
        await until(lambda: holds(engine, "default", (0, 0)))


async def test_a_group_goes_on_when_its_first_is_cancelled_while_it_waits(
    place: Place,
) -> None:
    if not names_jobs(place):
        return  # see above: refused
    fifo = {"type": "fifo", "message_group_field": "g", "backoff_ms": 60_000}
    async with shared(place, q=fifo) as (engine,):
        heard = engine.function("work", "once")
        failed = await engine.enqueue("q", "work", {"g": "a", "n": 1})
        await engine.enqueue("q", "work", {"g": "a", "n": 2})
        await until(lambda: heard and not running(engine))
        await until(lambda: cancelled(engine, "q", failed))
        await until(lambda: [data["n"] for data in heard] == [1, 2])
        late = await engine.enqueue("q", "work", {"g": "a", "n": 3}, delay_ms=60_000)
        await engine.enqueue("q", "work", {"g": "a", "n": 4})
        await until(lambda: cancelled(engine, "q", late))
        await until(lambda: [data["n"] for data in heard] == [1, 2, 4])
        await until(lambda: holds(engine, "q", (0, 0)))


async def cancelled(engine: Shared, queue: str, job: str) -> bool:
    answer = await engine.ask("iii::queue::cancel", {"queue": queue, "message_id": job})
    return bool(answer["cancelled"])


@pytest.mark.parametrize(
    ("state", "option"),
    [
        ("delayed", "idempotency_key"),
        ("delayed", "message_id"),
        ("active", "idempotency_key"),
        ("dead", "idempotency_key"),
    ],
)
async def test_the_key_of_a_job_that_was_given_up_is_free(
    place: Place, state: str, option: str
) -> None:
    if not names_jobs(place):
        return  # there are no keys
    async with shared(place, q={"max_retries": 1}) as (engine,):
        heard = engine.function("fails", *["no"] * (state == "dead"))
        calls: list[Call] = []
        engine.core.add_function("hangs", calls.append, module="test")
        function = "fails" if state == "dead" else "hangs"
        options: dict[str, object] = {option: "k", "delay_ms": 60_000 * (state == "delayed")}
        job = await engine.enqueue("q", function, 1, **options)
        if state == "dead":
            await until(lambda: has_dead(engine, "q", 1))
            query = {"queue": "q", "message_id": job}
            assert (await engine.ask("iii::queue::discard_message", query))["redriven"] == 1
        else:
            await until(lambda: len(calls) == (state == "active"))
            assert await cancelled(engine, "q", job)
        again = await engine.enqueue("q", "fails", 2, **{option: "k"})
        await until(lambda: 2 in heard)
        assert await engine.enqueue("q", "fails", 3, **{option: "k"}) == again
        await until(lambda: holds(engine, "q", (0, 0)))
        assert 3 not in heard


#: What each adapter has no means for; the embedded queues can do everything.
REFUSED: Final[dict[str, tuple[str, ...]]] = {
    "builtin": (),
    "bridge": (),
    "nats": NATS.options,
    "redis": REDIS.options,
    "rabbitmq": RABBITMQ.options,
}


@pytest.mark.parametrize(
    "option", [{"priority": 1}, {"debounce_ms": 10}, {"idempotency_key": "k"}, {"message_id": "m"}]
)
async def test_an_option_of_a_job_counts_or_is_refused(
    place: Place, option: dict[str, Any]
) -> None:
    async with shared(place) as (engine,):
        heard = engine.function("work")
        (name,) = option
        if name in REFUSED[engine.kind]:
            refusal = rf"\$.{name}: not possible with the adapter '{engine.kind}'"
            with pytest.raises(BusError, match=refusal) as refused:
                await engine.enqueue("default", "work", 1, **option)
            assert refused.value.code == "unsupported_by_adapter"
            await engine.enqueue("default", "work", 1)
        else:
            await engine.enqueue("default", "work", 1, **option)
        await until(lambda: heard == [1])


async def test_a_paused_queue_starts_nothing_until_it_goes_on(place: Place) -> None:
    async with shared(place) as (engine,):
        heard = engine.function("work")
        query = {"queue": "default"}
        await engine.enqueue("default", "work", 0)
        await until(lambda: heard == [0])
        assert (await engine.ask("iii::queue::pause", query))["paused"] is True
        for n in (1, 2):
            await engine.enqueue("default", "work", n)
        await until(lambda: holds(engine, "default", (2, 0)))
        assert heard == [0]
        assert (await engine.ask("iii::queue::resume", query))["paused"] is False
        await until(lambda: sorted(heard) == [0, 1, 2])
        await until(lambda: holds(engine, "default", (0, 0)))


async def test_pauses_grow_and_a_long_one_does_not_hold_up_a_short_one(
    place: Place,
) -> None:
    async with shared(place, q={"max_retries": 4, "backoff_ms": 60}) as (engine,):
        clock, times = asyncio.get_running_loop().time, [0.0]
        await engine.enqueue("q", "work", "long", delay_ms=60_000)

        def fail(call: Call) -> None:
            times.append(clock())
            call.fail("broken", "always")

        engine.core.add_function("work", fail, module="test")
        await engine.enqueue("q", "work", 1)
        await until(lambda: has_dead(engine, "q", 1))
        gaps = [later - earlier for earlier, later in pairwise(times[1:])]
        assert len(gaps) == 3
        assert all(gap >= least for gap, least in zip(gaps, (0.05, 0.11, 0.23), strict=True))
        assert await engine.stats("q") == (1, 1)


async def test_one_of_the_dead_jobs_runs_again(place: Place) -> None:
    async with shared(place, q={"max_retries": 1}) as (engine,):
        heard = engine.function("work", "no", "no")
        jobs = [await engine.enqueue("q", "work", n) for n in range(2)]
        await until(lambda: has_dead(engine, "q", 2))
        query = {"queue": "q", "message_id": jobs[1]}
        assert (await engine.ask("iii::queue::redrive_message", query))["redriven"] == 1
        await until(lambda: heard.count(1) == 2)
        await until(lambda: holds(engine, "q", (0, 1)))
        (left,) = await engine.dead("q")
        assert left["id"] == jobs[0]


@pytest.mark.parametrize("option", ["idempotency_key", "message_id"])
async def test_a_producers_key_stands_for_jobs_of_one_function(place: Place, option: str) -> None:
    if not names_jobs(place):
        return  # there are no keys
    async with shared(place) as (engine,):
        engine.core.add_function("first", lambda call: None, module="test")
        heard = engine.function("other")
        options: dict[str, object] = {option: "k", "delay_ms": 60_000}
        first = await engine.enqueue("default", "first", 1, **options)
        other = await engine.enqueue("default", "other", 2, **{option: "k"})
        assert other != first
        assert await engine.enqueue("default", "other", 3, **{option: "k"}) == other
        await until(lambda: heard == [2])
        query = {"queue": "default", "message_id": first}
        assert (await engine.ask("iii::queue::status", query))["state"] == "delayed"
        assert await engine.enqueue("default", "first", 4, **options) == first
        await until(lambda: holds(engine, "default", (1, 0)))


async def test_the_id_of_a_dead_job_is_not_given_to_another_function(
    place: Place,
) -> None:
    if not names_jobs(place):
        return
    async with shared(place, q={"max_retries": 1}) as (engine,):
        engine.function("first", "no")
        heard = engine.function("other")
        first = await engine.enqueue("q", "first", 1, message_id="m")
        await until(lambda: has_dead(engine, "q", 1))
        assert await engine.enqueue("q", "other", 2, message_id="m") != first
        await until(lambda: heard == [2])
        assert [(dead["id"], dead["payload"]) for dead in await engine.dead("q")] == [("m", 1)]


async def test_a_job_takes_the_place_of_one_of_its_function_only(
    place: Place,
) -> None:
    if isinstance(place, NatsServer | RabbitServer):
        return  # refused
    async with shared(place) as (engine,):
        heard, others = engine.function("work"), engine.function("other")
        options: dict[str, object] = {"debounce_ms": 300, "debounce_key": "k"}
        first = await engine.enqueue("default", "work", 1, **options)
        other = await engine.enqueue("default", "other", 2, **options)
        assert other != first
        assert await engine.enqueue("default", "other", 3, **options) == other
        await engine.enqueue("default", "other", 4, debounce_ms=300, message_id=first)
        await until(lambda: holds(engine, "default", (0, 0)))
        assert (heard, sorted(others)) == ([1], [3, 4])  # both may be due in one millisecond
