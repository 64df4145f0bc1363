"""Several brokers on one Redis, with all that can happen to a job, from one seed."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict

import pytest
import redis
from tests.support.broker_bench import ORDERED, BrokerBench
from tests.support.servers import RedisServer

from iii_engine.core.clock import SystemClock, SystemIds
from iii_engine.core.engine import Engine
from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.job import DeadJob, Lease, QueueName
from iii_engine.modules.queue.redis.broker import RedisBroker
from iii_engine.modules.queue.redis.options import RedisQueueConfig
from iii_engine.modules.queue.settings import Settings
from iii_engine.ticker import Ticker

QUEUE = QueueName("storm")
JOBS = 100


class Storm:
    """Knows which jobs are stored, and what has become of them."""

    def __init__(self, seed: int, limits: Limits) -> None:
        self.random = random.Random(seed)
        self.limits = limits
        self.over = False
        self.left: set[str] = set()
        self.order: dict[str, list[int]] = defaultdict(list)
        self.running: dict[str, int] = defaultdict(int)

    async def produce(self, bench: BrokerBench) -> None:
        for number in range(JOBS):
            key = self.random.choice("abc")
            delay = {"delay_ms": self.random.randrange(40)} if self.random.random() < 0.2 else {}
            job_id = f"j{number}"
            self.left.add(job_id)  # before it is stored: it may end before that is known here
            assert await bench.enqueue(QUEUE, number, key=key, message_id=job_id, **delay) == job_id
            if self.random.random() < 0.05 and await bench.ask(bench.broker.cancel, QUEUE, job_id):
                self.left.discard(job_id)

    async def consume(self, bench: BrokerBench) -> None:
        tasks: set[asyncio.Task[None]] = set()
        while not self.over:
            for lease in await bench.take_now(QUEUE, limit=self.random.randrange(1, 6)):
                self.begins(lease)
                tasks.add(asyncio.create_task(self.run(bench, lease)))
            await asyncio.sleep(0.002)

    def begins(self, lease: Lease) -> None:
        key, number = lease.job.group_id, int(bytes(lease.job.data))
        self.running[key] += 1
        assert self.running[key] <= self.limits.concurrency
        if self.limits.ordered and number not in self.order[key]:
            assert all(number > before for before in self.order[key])
        self.order[key].append(number)

    async def run(self, bench: BrokerBench, lease: Lease) -> None:
        await asyncio.sleep(self.random.random() * 0.01)
        chance, job, broker = self.random.random(), lease.job, bench.broker
        self.running[job.group_id] -= 1
        if chance < 0.01:  # nobody answers: it comes back when its lease ends
            assert isinstance(broker, RedisBroker)
            broker.queue(QUEUE).leases.pop(lease.token)
        elif chance < 0.2:
            job.attempts_made += 1
            broker.retry(lease, job, self.random.choice((0, 5, 30)))
        elif chance < 0.3:
            self.left.discard(job.id)
            broker.bury(lease, DeadJob(job, "no", 1))
        else:
            self.left.discard(job.id)
            broker.complete(lease)
            broker.complete(lease)  # twice is once


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("limits", [ORDERED.limits, Limits(2)], ids=["fifo", "limited"])
async def test_every_job_ends_and_groups_keep_to_their_limits(
    redis_server: RedisServer, seed: int, limits: Limits
) -> None:
    storm, benches = Storm(seed, limits), []
    for _ in range(2):
        engine = Engine(SystemClock(), SystemIds())
        ticker = Ticker(engine, asyncio.get_running_loop())
        broker = RedisBroker(engine, RedisQueueConfig(redis_url=redis_server.url, lease_ms=1000))
        await broker.open()
        benches.append((BrokerBench(broker, engine), ticker))
    settings = Settings(limits=limits)
    for bench, _ in benches:
        bench.attach(QUEUE, settings)
    consumers = [asyncio.create_task(storm.consume(bench)) for bench, _ in benches]
    await storm.produce(benches[0][0])
    async with asyncio.timeout(45):
        while storm.left or (await benches[0][0].stats(QUEUE)).depth:
            await asyncio.sleep(0.02)
            assert not any(consumer.done() for consumer in consumers)
            if storm.random.random() < 0.1:  # an engine whose consumer starts again
                bench = storm.random.choice(benches)[0]
                bench.broker.detach(QUEUE)
                bench.attach(QUEUE, settings)
    storm.over = True
    await asyncio.gather(*consumers)
    for bench, ticker in benches:
        await bench.broker.close()
        ticker.stop()
    with redis.Redis.from_url(redis_server.url) as client:
        kept = {key.decode().rpartition(":")[2] for key in client.keys(f"*{QUEUE.name}:*")}
        kept -= {key.rpartition(":")[2] for key in map(bytes.decode, client.keys("*:once:*"))}
        assert kept <= {"token", "dlq", "jobs", "once", "states", "groups"}
        assert client.hlen(f"iii:queue:__fn_queue::{QUEUE.name}:jobs") == client.llen(
            f"iii:queue:__fn_queue::{QUEUE.name}:dlq"
        )
