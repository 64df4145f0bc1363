"""Memory stays bounded, however many jobs wait, are delayed or are dead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.support.desk import Desk
from tests.support.queue_desk import QueueDesk, queue_desk
from tests.support.waiting import until

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.core.queue_keys import Keys, delayed_key
from iii_engine.core.queue_room import WINDOW
from iii_engine.core.router import Call
from iii_engine.modules.base import Host
from iii_engine.modules.queue import QueueModule
from iii_engine.modules.queue.embedded import EmbeddedBroker
from iii_engine.modules.queue.job import DeadJob, Draft, Job, QueueName, encode_job
from iii_engine.modules.queue.shelf import Shelf
from iii_engine.storage.base import Transaction
from iii_engine.storage.embedded import EmbeddedStore
from iii_sdk.protocol import JobOptions

MANY = 100_000
AHEAD = 10 * WINDOW
NAME = QueueName("q")
SHELF = Shelf("queue/named/q")


def job(job_id: str, number: int) -> Job:
    data = msgspec.Raw(b'{"n":%d,"text":"%b"}' % (number, b"x" * 200))
    return Job(id=job_id, created_at=1, data=data, function_id="work", group_id=str(number % 7))


async def fill(store: EmbeddedStore, space: str) -> None:
    """As many jobs as a queue had when its engine ended."""
    keys = Keys(SeededIds(2))

    def put(transaction: Transaction) -> None:
        for number in range(MANY):
            key = keys.make(1_700_000_000_000)
            record = encode_job(job(key, number))
            if space == SHELF.delayed:
                key = delayed_key(1_700_000_100_000 + number, key)
            elif space == SHELF.dead:
                record = msgspec.json.encode(DeadJob(job(key, number), "broken: x", 1))
            transaction.put(space, key, record)

    done: list[BaseException | None] = []
    store.write(put, lambda _, error: done.append(error))
    await until(lambda: done)
    assert done == [None]


@asynccontextmanager
async def filled(folder: Path, space: str, config: str = "{}") -> AsyncIterator[QueueDesk]:
    """The module on such a store; the clock is virtual, the disk is real."""
    store = EmbeddedStore(folder / "store.db", relaxed=True)
    await store.open()
    await fill(store, space)
    clock = VirtualClock()
    engine = Engine(clock, SeededIds(1))
    host = Host(engine, store, asyncio.get_running_loop())
    options = msgspec.convert(
        {"queue_configs": {"q": msgspec.json.decode(config)}}, QueueModule.Options
    )
    module = QueueModule("iii-queue", options, host)
    await module.start()
    yield QueueDesk(Desk(engine, clock, store, module, "queue"))  # type: ignore[arg-type]
    await module.stop()
    await store.close()


def broker(desk: QueueDesk) -> EmbeddedBroker:
    found = desk.module.broker
    assert isinstance(found, EmbeddedBroker)
    return found


def in_memory(desk: QueueDesk) -> int:
    return broker(desk).queue(NAME).line.in_memory


@pytest.mark.promise("Queues", "A queue of any length takes the memory of a few thousand jobs.")
async def test_a_full_queue_is_not_in_memory(tmp_path: Path) -> None:
    async with filled(tmp_path, SHELF.jobs, '{"concurrency": 50}') as desk:
        assert desk.stats("q")["waiting"] == MANY
        most, heard = 0, 0

        def work(call: Call) -> None:
            nonlocal most, heard
            heard += 1
            if heard % 97 == 0:
                most = max(most, in_memory(desk))
            call.reply()

        desk.engine.add_function("work", work, module="test")
        await until(lambda: heard >= 5000)
        assert most <= 3 * WINDOW  # what was deleted and may not be known yet counts as well


async def test_a_fifo_queue_looks_ahead_so_far_for_a_group_that_may_run(tmp_path: Path) -> None:
    config = '{"type": "fifo", "message_group_field": "n", "concurrency": 50}'
    async with filled(tmp_path, SHELF.jobs, config) as desk:
        calls = desk.handler("work", answer=None)
        await until(lambda: len(calls) == 7)
        await desk.settle()
        assert in_memory(desk) <= AHEAD + 2 * WINDOW


async def test_delayed_jobs_are_not_in_memory(tmp_path: Path) -> None:
    async with filled(tmp_path, SHELF.delayed) as desk:
        calls = desk.handler("work", answer=None)
        await desk.advance(99)
        assert (len(calls), in_memory(desk)) == (0, WINDOW)
        await desk.advance(1.01)
        assert len(calls) == 10
        desk.clock.advance(200)  # all are due, and nobody takes them
        desk.engine.advance()
        await desk.settle()
        assert in_memory(desk) <= AHEAD + 2 * WINDOW


@pytest.mark.promise("Queues", "Dead letters take no memory: a hundred thousand can be listed.")
async def test_dead_letters_are_not_in_memory_and_are_listed_by_pages(tmp_path: Path) -> None:
    config = '{"dead_letter_max": 100000, "max_retries": 1}'
    async with filled(tmp_path, SHELF.dead, config) as desk:
        assert desk.stats("q") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": MANY}
        assert in_memory(desk) == 0
        began = time.monotonic()
        page = desk.ask("engine::queue::dlq_messages", {"topic": "q", "offset": 50_000, "limit": 3})
        assert time.monotonic() - began < 5
        assert [entry["payload"]["n"] for entry in page] == [49_999, 49_998, 49_997]
        desk.failing("work", "no")
        draft = Draft(data=msgspec.Raw(b"1"), options=JobOptions(), function_id="work")
        desk.module.broker.enqueue("q", draft, lambda receipt, error: None)

        def newest() -> bool:
            return bool(desk.dead("q")[0]["payload"] == 1)

        await until(newest)
        await until(lambda: desk.stats("q")["dlq_depth"] == MANY)  # and the oldest went


async def test_priorities_that_grow_cannot_fill_the_memory() -> None:
    config = {"priority_aging_ms": 1000, "concurrency": 1}
    async with queue_desk({"queue_configs": {"q": config}}) as desk:
        desk.handler("work", answer=None)
        for number in range(2 * AHEAD + 3000):
            desk.enqueue("q", "work", number, priority=number % 1000)
        await desk.settle()
        assert in_memory(desk) <= 2 * AHEAD + WINDOW


async def test_a_topic_that_nobody_takes_from_has_no_job_in_memory() -> None:
    name = QueueName("topic", topic=True)
    async with queue_desk() as desk:
        for number in range(10):
            desk.publish("topic", number, delay_ms=1000 * (number % 2))
        queue = broker(desk).queue(name)
        assert (queue.line.in_memory, queue.line.depth) == (0, 10)
        desk.trigger("t", "topic", "seen", queue_config={"concurrency": 1})
        desk.handler("seen", answer=None)
        await desk.settle()
        assert queue.line.in_memory == 10
        desk.engine.triggers.remove("t")
        assert queue.line.in_memory == 1  # the one that runs


async def test_dead_letters_at_their_limit_cost_no_more_than_below(tmp_path: Path) -> None:
    config = '{"dead_letter_max": 100000, "max_retries": 1, "concurrency": 200}'
    async with filled(tmp_path, SHELF.dead, config) as desk:
        desk.failing("work", *["no"] * 3000)
        draft = Draft(data=msgspec.Raw(b"1"), options=JobOptions(), function_id="work")
        oldest = desk.store.read(lambda t: [key for key, _ in t.items(SHELF.dead, limit=3000)])
        began = time.monotonic()
        for _ in range(3000):
            desk.module.broker.enqueue("q", draft, lambda receipt, error: None)
        await until(lambda: desk.stats("q")["waiting"] + desk.stats("q")["active"] == 0)
        await until(lambda: desk.store.read(lambda t: t.get(SHELF.dead, oldest[-1])) is None)
        assert time.monotonic() - began < 5
        await desk.settle()
        assert desk.stats("q")["dlq_depth"] == MANY
        left = desk.store.read(lambda t: t.count(SHELF.dead))
        assert left == MANY
