"""Ordered queues in RabbitMQ are with one engine at a time: what happens when that one is lost."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from tests.support.engine import EngineProcess
from tests.support.queue_engine import Shared, adapter_of, holds, running, shared
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.servers import RabbitServer, free_port
from tests.support.waiting import until

from iii_engine.core.router import Call
from iii_engine.modules.queue.job import QueueName

FIFO: Final = {"type": "fifo", "message_group_field": "g", "backoff_ms": 20}
PREFIX: Final = f"test-{uuid4().hex[:12]}"


@pytest.fixture
def frozen(tmp_path: Path, rabbitmq_server: RabbitServer) -> Iterator[EngineProcess]:
    """An engine that can be stopped; RabbitMQ notices that within three seconds."""
    adapter = adapter_of("rabbitmq", f"{rabbitmq_server.url}?heartbeat=1", prefix=PREFIX)
    modules = [
        {"name": "iii-worker-manager", "config": {"host": "127.0.0.1", "port": free_port()}},
        {"name": "iii-queue", "config": {"adapter": adapter, "queue_configs": {"q": FIFO}}},
    ]
    engine = EngineProcess(tmp_path, json.dumps({"workers": modules}))
    engine.start()
    yield engine
    engine.close()


@pytest.mark.promise(
    "Queues",
    "An ordered queue in RabbitMQ goes to another engine when its own dies or freezes: in order, "
    "beginning with the job that ran.",
)
async def test_an_ordered_queue_leaves_an_engine_that_freezes(
    frozen: EngineProcess, rabbitmq_server: RabbitServer
) -> None:
    async with RawWorker(frozen.url) as worker:
        await worker.register("work")
        for n in range(4):
            assert await enqueued(worker, {"g": "a", "n": n})
        first = await worker.invoked("work")
        assert first["data"]["n"] == 0  # it has the queue, and the job runs
        other = Shared(rabbitmq_server, PREFIX, q=FIFO)
        await other.start()
        try:
            heard = other.function("work")
            await asyncio.to_thread(frozen.signal, signal.SIGSTOP)
            await until(lambda: numbers(heard) == [0, 1, 2, 3], timeout=20)
            await until(lambda: holds(other, "q", (0, 0)))
            await asyncio.to_thread(frozen.signal, signal.SIGCONT)
            await worker.answer(first)  # too late: it has run
            for n in range(4, 8):
                await other.enqueue("q", "work", {"g": "a", "n": n})
            await until(lambda: numbers(heard) == list(range(8)))
            await until(lambda: holds(other, "q", (0, 0)))
        finally:
            await other.stop()
        # And back again.
        await until(lambda: enqueued(worker, {"g": "a", "n": 8}))
        last = await worker.invoked("work")
        assert last["data"]["n"] == 8
        await worker.answer(last)


async def enqueued(worker: RawWorker, data: object) -> bool:
    """Whether RabbitMQ has it: its engine may have to come back to it."""
    try:
        await worker.call("work", data, action={"type": "enqueue", "queue": "q"})
    except CallFailed:
        return False
    return True


def numbers(heard: list[Any]) -> list[int]:
    return [data["n"] for data in heard]


async def test_an_ordered_queue_moves_between_engines_that_have_different_functions(
    rabbitmq_server: RabbitServer,
) -> None:
    async with shared(rabbitmq_server, 3, q=FIFO) as (one, two, third):
        heard: list[int] = []
        for engine, function in ((one, "odd"), (two, "even")):
            engine.core.add_function(function, partial(hear, heard), module="test")
        for n in range(4):
            await one.enqueue("q", "odd" if n % 2 else "even", {"g": "a", "n": n})
        await until(lambda: heard == [0, 1, 2, 3], timeout=30)
        await until(lambda: holds(third, "q", (0, 0)))


def hear(heard: list[int], call: Call) -> None:
    heard.append(json.loads(bytes(call.data))["n"])
    call.reply()


async def test_a_job_that_runs_ends_before_its_ordered_queue_goes_elsewhere(
    rabbitmq_server: RabbitServer,
) -> None:
    async with shared(rabbitmq_server, 2, q=FIFO) as engines:
        calls: list[Call] = []
        for engine in engines:
            engine.core.add_function("slow", calls.append, module="test")
        await engines[0].enqueue("q", "slow", {"g": "a", "n": 0})
        await until(lambda: calls)
        owner, other = sorted(engines, key=running, reverse=True)
        heard = other.function("there")
        await owner.enqueue("q", "there", {"g": "b", "n": 1})
        broker = owner.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
        await until(lambda: broker.place(QueueName("q")).intake._leaving)
        assert heard == []
        calls[0].reply()
        await until(lambda: heard == [{"g": "b", "n": 1}])
        await until(lambda: holds(other, "q", (0, 0)))
