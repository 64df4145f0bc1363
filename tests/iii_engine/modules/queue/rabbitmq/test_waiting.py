"""Jobs whose time has not come, in a real RabbitMQ."""

from __future__ import annotations

import asyncio

import aio_pika
import pytest
from tests.support.queue_engine import Shared, holds, shared
from tests.support.servers import RabbitServer
from tests.support.waiting import until

from iii_engine.modules.queue.job import Job, QueueName
from iii_engine.modules.queue.rabbitmq import waiting
from iii_engine.modules.queue.rabbitmq.broker import RabbitBroker
from iii_engine.modules.queue.rabbitmq.waiting import STEPS, Ticket, step_of
from iii_engine.storage.base import StoreError


def broker_of(engine: Shared) -> RabbitBroker:
    broker = engine.app.modules["iii-queue"].broker  # type: ignore[attr-defined]
    assert isinstance(broker, RabbitBroker)
    return broker


def test_a_pause_is_a_few_steps() -> None:
    assert (STEPS[0], STEPS[-1], len(STEPS)) == (10, 500_000_000, 24)
    assert [step_of(ms) for ms in (1, 10, 19, 20, 99, 1000)] == [10, 10, 10, 20, 50, 1000]
    left, steps = 86_399_990, 0
    while left > 0:
        left, steps = left - step_of(left), steps + 1
    assert left == 0
    assert steps < 25


def test_a_ticket_says_for_which_queue() -> None:
    for name in (QueueName("q"), QueueName("a.b", True, "work")):
        assert Ticket.make(name, 7).name == name


async def test_what_is_held_for_long_goes_back_and_comes_again(
    rabbitmq_server: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "HOLD_MS", 40)
    async with shared(rabbitmq_server) as (engine,):
        heard = engine.function("work")
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await engine.enqueue("default", "work", 1, delay_ms=300)
        await until(lambda: heard == [1])
        assert loop.time() - begin >= 0.29
        await until(lambda: holds(engine, "default", (0, 0)))


async def test_more_jobs_than_are_held_wait_in_their_order(
    rabbitmq_server: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "WINDOW", 2)
    async with shared(rabbitmq_server) as (engine,):
        heard = engine.function("work")
        for n in range(20):
            await engine.enqueue("default", "work", n, delay_ms=200)
        await until(lambda: sorted(heard) == list(range(20)))


async def test_a_job_that_its_queue_refuses_holds_up_no_other(
    rabbitmq_server: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "WINDOW", 1)
    monkeypatch.setattr(waiting, "REFUSED_MS", 100)
    async with shared(rabbitmq_server, odd={}) as (engine,):
        heard = engine.function("work")
        here = broker_of(engine)._waiting
        go_on, refusing = here._go_on, True

        async def refuse(name: QueueName, job: Job) -> None:
            if refusing and name.name == "odd":
                raise StoreError("not this one")
            await go_on(name, job)

        here._go_on = refuse
        await engine.enqueue("odd", "work", "odd", delay_ms=100)
        await engine.enqueue("default", "work", "fine", delay_ms=100)
        await until(lambda: heard == ["fine"])
        refusing = False
        await until(lambda: heard == ["fine", "odd"])


async def test_what_is_no_job_is_removed(
    rabbitmq_server: RabbitServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with shared(rabbitmq_server) as (engine,):
        heard = engine.function("work")
        broker = broker_of(engine)
        await engine.enqueue("default", "work", 1, delay_ms=20)
        key = broker._waiting._name(20)
        await broker._connection.publish(aio_pika.Message(b"?"), "", key)
        await until(lambda: "what waits and is no job is removed" in caplog.text)
        await engine.enqueue("default", "work", 2, delay_ms=20)
        await until(lambda: heard == [1, 2])
