"""What every broker promises; each adapter is run through the same cases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.broker_bench import ORDERED, BrokerBench, payloads
from tests.support.waiting import until

from iii_engine.core.clock import SystemClock, SystemIds
from iii_engine.core.engine import Engine
from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.broker import Broker
from iii_engine.modules.queue.embedded import EmbeddedBroker
from iii_engine.modules.queue.job import DeadJob, Lease, QueueName, Stats
from iii_engine.modules.queue.redis.broker import RedisBroker
from iii_engine.modules.queue.redis.options import RedisQueueConfig
from iii_engine.modules.queue.settings import Settings
from iii_engine.storage.embedded import EmbeddedStore
from iii_engine.storage.memory import MemoryStore
from iii_engine.ticker import Ticker

QUEUE = QueueName("work")


@pytest.fixture(params=["memory", "embedded", "redis"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BrokerBench]:
    """A broker that is open, on a clock that runs."""
    loop = asyncio.get_running_loop()
    engine = Engine(SystemClock(), SystemIds())
    ticker = Ticker(engine, loop)
    store = EmbeddedStore(tmp_path / "store.db") if request.param == "embedded" else MemoryStore()
    await store.open()
    broker: Broker = EmbeddedBroker(engine, store, loop.call_soon)
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        broker = RedisBroker(engine, RedisQueueConfig(redis_url=server.url, lease_ms=600))
    await broker.open()
    yield BrokerBench(broker, engine)
    await broker.close()
    await store.close()
    ticker.stop()


def dead(lease: Lease, error: str = "broken: no") -> DeadJob:
    lease.job.attempts_made += 1
    return DeadJob(lease.job, error, 1_700_000_000_000)


async def settled(bench: BrokerBench, queue: QueueName, stats: Stats) -> None:
    """Wait until the counts are these: changes of leases have no answer."""

    async def are() -> bool:
        return await bench.stats(queue) == stats

    await until(are, f"{stats}")


async def test_jobs_are_taken_in_order_and_completed(bench: BrokerBench) -> None:
    ids = [await bench.enqueue(QUEUE, number) for number in range(5)]
    bench.attach(QUEUE)
    first = await bench.take(QUEUE, 2, limit=2)
    assert payloads(first) == [0, 1]
    assert [lease.job.id for lease in first] == ids[:2]
    assert await bench.stats(QUEUE) == Stats(3, 2, 0, 0)
    rest = await bench.take(QUEUE, 3)
    assert payloads(rest) == [2, 3, 4]
    assert await bench.take_now(QUEUE) == []
    for lease in first + rest:
        bench.broker.complete(lease)
    await settled(bench, QUEUE, Stats())


async def test_who_waits_is_woken_by_a_new_job(bench: BrokerBench) -> None:
    bench.attach(QUEUE)
    assert await bench.take_now(QUEUE) == []
    waiting = asyncio.create_task(bench.take(QUEUE, 1))
    await bench.enqueue(QUEUE, "new")
    assert payloads(await waiting) == ["new"]


async def test_tokens_grow(bench: BrokerBench) -> None:
    bench.attach(QUEUE)
    await bench.enqueue(QUEUE, 1)
    (first,) = await bench.take(QUEUE, 1)
    bench.broker.retry(first, first.job, 0)
    (second,) = await bench.take(QUEUE, 1)
    assert second.token > first.token
    bench.broker.complete(second)


async def test_a_retried_job_is_as_it_was_left_and_goes_first(bench: BrokerBench) -> None:
    bench.attach(QUEUE)
    for number in range(3):
        await bench.enqueue(QUEUE, number)
    (lease,) = await bench.take(QUEUE, 1, limit=1)
    lease.job.attempts_made, lease.job.error = 1, "broken: once"
    began = time.monotonic()
    bench.broker.retry(lease, lease.job, 100)
    await settled(bench, QUEUE, Stats(2, 0, 1, 0))
    await until(lambda: time.monotonic() - began > 0.11)
    again, other = await bench.take(QUEUE, 2, limit=2)
    assert payloads([again, other]) == [0, 1]
    assert (again.job.attempts_made, again.job.error) == (1, "broken: once")
    assert again.job.id == lease.job.id


async def test_a_delayed_job_wakes_who_waits(bench: BrokerBench) -> None:
    bench.attach(QUEUE)
    began = time.monotonic()
    await bench.enqueue(QUEUE, "later", delay_ms=60)
    assert await bench.stats(QUEUE) == Stats(0, 0, 1, 0)
    assert payloads(await bench.take(QUEUE, 1)) == ["later"]
    assert time.monotonic() - began >= 0.055


async def test_an_ordered_group_waits_for_its_first_job(bench: BrokerBench) -> None:
    bench.attach(QUEUE, ORDERED)
    for number, key in enumerate("aab"):
        await bench.enqueue(QUEUE, number, key=key)
    first, other = await bench.take(QUEUE, 2)
    assert payloads([first, other]) == [0, 2]
    began = time.monotonic()
    bench.broker.retry(first, first.job, 80)
    (again,) = await bench.take(QUEUE, 1)
    assert payloads([again]) == [0]
    assert time.monotonic() - began >= 0.075
    bench.broker.complete(again)
    assert payloads(await bench.take(QUEUE, 1)) == [1]


async def test_a_group_keeps_its_order_when_another_takes_over(bench: BrokerBench) -> None:
    bench.attach(QUEUE, ORDERED)
    for number in range(4):
        await bench.enqueue(QUEUE, number, key="a")
    (first,) = await bench.take(QUEUE, 1)
    assert await bench.take_now(QUEUE) == []
    bench.broker.complete(first)
    bench.broker.detach(QUEUE)
    bench.attach(QUEUE, ORDERED)
    for number in range(1, 4):
        (lease,) = await bench.take(QUEUE, 1)
        assert payloads([lease]) == [number]
        bench.broker.complete(lease)


async def test_a_job_that_is_cancelled_holds_up_nobody(bench: BrokerBench) -> None:
    bench.attach(QUEUE, ORDERED)
    ids = [await bench.enqueue(QUEUE, number, key="a") for number in range(4)]
    (first,) = await bench.take(QUEUE, 1)
    assert await bench.take_now(QUEUE) == []
    assert await bench.ask(bench.broker.cancel, QUEUE, ids[2])
    bench.broker.complete(first)
    assert await bench.ask(bench.broker.cancel, QUEUE, ids[1])
    assert payloads(await bench.take(QUEUE, 1)) == [3]


async def test_a_key_keeps_to_its_concurrency(bench: BrokerBench) -> None:
    bench.attach(QUEUE, Settings(limits=Limits(concurrency=2)))
    for number, key in enumerate("aaab"):
        await bench.enqueue(QUEUE, number, key=key)
    leases = await bench.take(QUEUE, 3)
    assert payloads(leases) == [0, 1, 3]
    assert await bench.take_now(QUEUE) == []
    bench.broker.complete(leases[1])
    assert payloads(await bench.take(QUEUE, 1)) == [2]


async def test_dead_jobs_are_listed_redriven_and_discarded(bench: BrokerBench) -> None:
    bench.attach(QUEUE)
    broker = bench.broker
    ids = [await bench.enqueue(QUEUE, number) for number in range(4)]
    for lease in await bench.take(QUEUE, 4):
        broker.bury(lease, dead(lease, f"broken: {lease.job.id}"))
    await settled(bench, QUEUE, Stats(0, 0, 0, 4))

    async def listed(offset: int = 0, limit: int = 10) -> list[DeadJob]:
        found: list[DeadJob] = await bench.ask(broker.dead, QUEUE, offset, limit)
        return found

    async def all_listed() -> bool:
        return [entry.job.id for entry in await listed()] == ids[::-1]

    await until(all_listed)
    (entry,) = await listed(1, 1)
    assert entry == DeadJob(entry.job, f"broken: {ids[2]}", 1_700_000_000_000)
    assert entry.job.attempts_made == 1
    assert await listed(4) == []
    assert await bench.ask(broker.discard, QUEUE, ids[0]) == 1
    assert await bench.ask(broker.discard, QUEUE, ids[0]) == 0
    assert await bench.ask(broker.redrive, QUEUE, "unknown") == 0
    assert await bench.ask(broker.redrive, QUEUE, ids[3]) == 1
    assert await bench.ask(broker.redrive, QUEUE, None) == 2
    assert await bench.ask(broker.redrive, QUEUE, None) == 0
    again = await bench.take(QUEUE, 3)
    assert [lease.job.id for lease in again] == [ids[3], ids[1], ids[2]]
    assert [lease.job.attempts_made for lease in again] == [0, 0, 0]


async def test_the_oldest_of_too_many_dead_jobs_go(bench: BrokerBench) -> None:
    bench.attach(QUEUE, Settings(dead_letter_max=2))
    ids = [await bench.enqueue(QUEUE, number) for number in range(4)]
    for lease in await bench.take(QUEUE, 4):
        bench.broker.bury(lease, dead(lease))
    await settled(bench, QUEUE, Stats(0, 0, 0, 2))

    async def newest() -> bool:
        found = await bench.ask(bench.broker.dead, QUEUE, 0, 10)
        return [entry.job.id for entry in found] == ids[:1:-1]

    await until(newest)


async def test_single_jobs_are_found_and_cancelled(bench: BrokerBench) -> None:
    bench.attach(QUEUE)
    broker = bench.broker
    runs, waits = await bench.enqueue(QUEUE, 1), await bench.enqueue(QUEUE, 2)
    delayed = await bench.enqueue(QUEUE, 3, delay_ms=60_000)
    named = await bench.enqueue(QUEUE, 4, message_id="mine")
    assert named == "mine"
    (lease,) = await bench.take(QUEUE, 1, limit=1)
    assert lease.job.id == runs
    for message_id in (runs, waits, delayed, named):
        assert (await bench.ask(broker.find, QUEUE, message_id)).id == message_id
    assert await bench.ask(broker.cancel, QUEUE, runs) is False
    for message_id in (waits, delayed, named):
        assert await bench.ask(broker.cancel, QUEUE, message_id) is True
        assert await bench.ask(broker.find, QUEUE, message_id) is False
        assert await bench.ask(broker.cancel, QUEUE, message_id) is False
    assert await bench.stats(QUEUE) == Stats(0, 1, 0, 0)


async def test_one_key_is_one_job(bench: BrokerBench) -> None:
    first = await bench.enqueue(QUEUE, 1, idempotency_key="k")
    assert await bench.enqueue(QUEUE, 2, idempotency_key="k") == first
    assert (await bench.stats(QUEUE)).waiting == 1


async def test_a_topic_copies_to_all_its_functions(bench: BrokerBench) -> None:
    one, two = (QueueName("news", topic=True, function_id=name) for name in ("one", "two::x"))
    await bench.publish("news", "early")
    for name in (one, two):
        bench.broker.bind("news", name.function_id, Settings())
        bench.attach(name)
    assert set(bench.broker.bindings()) == {one, two}
    await bench.publish("news", "late")
    assert payloads(await bench.take(one, 2)) == ["early", "late"]
    assert payloads(await bench.take(two, 1)) == ["late"]


async def test_what_waits_for_an_unbound_function_dies(bench: BrokerBench) -> None:
    name = QueueName("news", topic=True, function_id="seen")
    bench.broker.bind("news", "seen", Settings())
    bench.attach(name)
    for number in range(3):
        await bench.publish("news", number)
    (runs,) = await bench.take(name, 1, limit=1)
    bench.broker.unbind("news", "seen", "subscription removed")
    await settled(bench, name, Stats(0, 1, 0, 2))
    assert bench.broker.bindings() == []
    assert name in bench.broker.topic_queues()
    bench.broker.complete(runs)
    await settled(bench, name, Stats(0, 0, 0, 2))
    entries = await bench.ask(bench.broker.dead, name, 0, 10)
    assert [entry.error for entry in entries] == ["subscription removed"] * 2


async def test_a_detached_queue_wakes_nobody(bench: BrokerBench) -> None:
    bench.attach(QUEUE)
    bench.broker.detach(QUEUE)
    bench.woken.clear()
    await bench.enqueue(QUEUE, 1)
    assert not bench.woken.is_set()
    bench.attach(QUEUE)
    assert bench.woken.is_set()
