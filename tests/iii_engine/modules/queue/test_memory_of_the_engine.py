"""What an engine takes of the memory, as the system sees it, with queues that nobody empties."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
from tests.support.engine import EngineProcess
from tests.support.raw_worker import RawWorker
from tests.support.waiting import until

from iii_engine.core.clock import SeededIds
from iii_engine.core.queue_keys import Keys
from iii_engine.modules.queue.job import DeadJob, Job, encode_job
from iii_engine.storage.base import Transaction
from iii_engine.storage.embedded import EmbeddedStore

MANY = 100_000
STALLED = 1_000
MESSAGES = 60
TEXT = "x" * 3500

#: What the jobs of all queues may take: 64 MiB of payloads, and some hundred bytes for each place.
BOUND_MIB = 150


def rss_mib(process: EngineProcess) -> float:
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(process.pid)])) / 1024


async def fill(folder: Path) -> None:
    """A queue of so many jobs, and as many dead ones, as an earlier engine left them."""
    store = EmbeddedStore(folder / "data" / "state" / "store.db", relaxed=True)
    await store.open()
    keys = Keys(SeededIds(2))

    def put(transaction: Transaction) -> None:
        for number in range(MANY):
            key = keys.make(1_700_000_000_000)
            data = msgspec.Raw(b'{"n":%d,"text":"%b"}' % (number, b"x" * 400))
            job = Job(id=key, created_at=1, data=data, function_id="work")
            transaction.put("queue/named/default/jobs", key, encode_job(job))
            dead = msgspec.json.encode(DeadJob(job, "broken: x", 1))
            transaction.put("queue/named/default/dead", f"d{number}", dead)

    done: list[BaseException | None] = []
    store.write(put, lambda _, error: done.append(error))
    await until(lambda: done)
    await store.close()
    assert done == [None]


@pytest.mark.promise(
    "Queues", "A full queue and a hundred thousand dead letters take less than 30 MiB of memory."
)
async def test_a_full_queue_and_its_dead_letters_take_little_memory(
    tmp_path: Path, engine_process: EngineProcess
) -> None:
    empty = rss_mib(engine_process)
    engine_process.stop()
    await fill(tmp_path)
    engine_process.start()
    async with RawWorker(engine_process.url) as worker:
        await worker.register("work")  # and never answers
        stats = await worker.call("engine::queue::topic_stats", {"topic": "default"})
        assert (stats["depth"], stats["dlq_depth"]) == (MANY, MANY)
        for offset in (0, MANY - 1000):
            question = {"topic": "default", "offset": offset, "limit": 1000}
            page = await worker.call("engine::queue::dlq_messages", question)
            assert len(page) == 1000
        assert (await worker.receive("invokefunction"))["function_id"] == "work"
        assert rss_mib(engine_process) - empty < 30


@pytest.mark.promise(
    "Queues", "A thousand subscribers that answer nothing share 64 MiB for what waits for them."
)
async def test_subscribers_that_stand_still_share_a_bounded_memory(
    engine_process: EngineProcess,
) -> None:
    async with RawWorker(engine_process.url) as worker, RawWorker(engine_process.url) as producer:
        config = {"topic": "news", "queue_config": {"concurrency": 1}}
        for number in range(STALLED):
            await worker.send("registerfunction", id=f"stalled::{number}")
            await worker.send(
                "registertrigger",
                id=f"t{number}",
                trigger_type="durable:subscriber",
                function_id=f"stalled::{number}",
                config=config,
            )

        async def all_bound() -> bool:
            stats = await producer.call("engine::queue::topic_stats", {"topic": "news"})
            return bool(stats["consumer_count"] == STALLED)

        await until(all_bound)
        before = rss_mib(engine_process)
        for number in range(MESSAGES):
            message = {"topic": "news", "data": [number, TEXT]}
            assert await producer.call("iii::durable::publish", message) is None
        stats = await producer.call("engine::queue::topic_stats", {"topic": "news"})
        assert stats["depth"] == STALLED * MESSAGES
        assert rss_mib(engine_process) - before < BOUND_MIB
