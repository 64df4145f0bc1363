"""`bus.enqueue` and `consume(…)` of our SDK against the real engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.served import served
from tests.support.waiting import until

from iii_sdk import Bus, Call, JobOptions, Worker, consume
from iii_sdk.errors import BusError


class Leaps:
    """The engine's clock; it leaps when a test says so, and `ahead` is how far it is by now."""

    def __init__(self) -> None:
        self.ahead = 0

    def leap(self, seconds: int) -> None:
        self.ahead += seconds * 10**9

    def now_ns(self) -> int:
        return time.time_ns() + self.ahead

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Leaps:
    clock = Leaps()
    monkeypatch.setattr("iii_engine.app.SystemClock", lambda: clock)
    return clock


@pytest.fixture
async def engine(clock: Leaps) -> AsyncIterator[RunningEngine]:
    leased = {"visibility_timeout_ms": 60_000, "backoff_ms": 10}
    running = RunningEngine({"iii-queue": {"queue_configs": {"leased": leased}}})
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


async def test_a_heartbeat_keeps_the_lease_and_tells_when_it_is_lost(
    engine: RunningEngine, clock: Leaps
) -> None:
    worker = Worker("slow")
    begun: list[int] = []
    told: list[bool] = []
    release = asyncio.Event()

    @worker.function("slow::work")
    async def work(beats: int, call: Call, bus: Bus) -> None:
        begun.append(beats)
        for _ in range(beats):
            clock.leap(40)
            engine.core.advance()
            told.append(await bus.heartbeat(call))
        if not beats:
            await release.wait()
            told.append(await bus.heartbeat(call))

    async with served(engine, worker) as bus:
        receipt = await bus.enqueue("leased", "slow::work", 4)

        async def over() -> bool:
            return (await status(bus, receipt))["state"] is None

        await until(over)
        assert told == [True] * 4
        receipt = await bus.enqueue("leased", "slow::work", 0)
        await until(lambda: begun == [4, 0])
        clock.leap(60)

        async def again() -> bool:
            return bool((await status(bus, receipt))["attempts"] == 1)

        await until(again)
        release.set()
        await until(lambda: len(told) == 6)
        assert told[4:] in ([False, True], [True, False])


async def status(bus: Bus, receipt: str) -> Any:
    return await bus.call("iii::queue::status", {"queue": "leased", "message_id": receipt})
