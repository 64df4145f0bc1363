"""`bus.enqueue` and `consume(…)` of our SDK against the real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.served import served
from tests.support.waiting import until

from iii_sdk import JobOptions, Worker, consume
from iii_sdk.errors import BusError


@pytest.fixture
async def engine() -> AsyncIterator[RunningEngine]:
    running = RunningEngine()
    await running.start()
    yield running
    await running.stop()


async def test_a_worker_enqueues_and_consumes(engine: RunningEngine) -> None:
    worker = Worker("mailer")
    seen: list[Any] = []

    @worker.function("mail::send")
    async def send(message: dict[str, str]) -> None:
        seen.append(message["to"])

    @worker.function("orders::seen", consume("orders", maxRetries=2, backoffDelayMs=10))
    async def order(message: dict[str, int]) -> None:
        number = message["number"]
        seen.append(number)
        if seen.count(number) == 1:
            raise BusError("not yet")

    async with served(engine, worker) as bus:
        once = JobOptions(idempotency_key="a")
        first = await bus.enqueue("default", "mail::send", {"to": "a"}, options=once)
        assert await bus.enqueue("default", "mail::send", {"to": "b"}, options=once) == first
        await until(lambda: seen == ["a"])
        await bus.call("iii::durable::publish", {"topic": "orders", "data": {"number": 7}})
        await until(lambda: seen == ["a", 7, 7])
        with pytest.raises(BusError, match="Queue 'none' not found") as refused:
            await bus.enqueue("none", "mail::send")
        assert refused.value.code == "enqueue_error"
