"""What runs when its queue, its limits or its adapter go: it is still the engine's to know."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.support.queue_desk import QueueDesk, queue_desk
from tests.support.queue_engine import adapter_of, holds, shared
from tests.support.servers import RedisServer
from tests.support.waiting import until

from iii_engine.modules.queue.job import QueueName
from iii_engine.modules.queue.options import QueueOptions

LEASED = {"visibility_timeout_ms": 1000, "max_retries": 2}


async def take_out(desk: QueueDesk) -> None:
    assert await desk.module.reconfigure(QueueOptions())


def asked(desk: QueueDesk, function_id: str, message_id: str, **more: Any) -> Any:
    return desk.ask(function_id, {"queue": "q", "message_id": message_id, **more})


async def test_a_job_goes_on_when_its_queue_is_taken_out() -> None:
    async with queue_desk({"queue_configs": {"q": LEASED}}) as desk:
        calls = desk.handler("work", answer=None)
        job = desk.enqueue("q", "work")
        await desk.settle()
        token = json.loads(bytes(calls[0].metadata))["iii_queue"]["token"]
        await take_out(desk)
        for _ in range(5):
            await desk.advance(0.9)
            assert asked(desk, "iii::queue::heartbeat", job, token=token)["renewed"]
        assert asked(desk, "iii::queue::status", job)["state"] == "active"
        assert desk.module.queues.running() == 1
        calls[0].reply()
        await desk.settle()
        assert asked(desk, "iii::queue::status", job)["state"] is None
        assert desk.module.queues.running() == 0


async def test_a_job_whose_queue_was_taken_out_can_be_cancelled() -> None:
    async with queue_desk({"queue_configs": {"q": LEASED}}) as desk:
        desk.handler("work", answer=None)
        job = desk.enqueue("q", "work")
        await desk.settle()
        await take_out(desk)
        assert asked(desk, "iii::queue::cancel", job)["was"] == "active"
        await desk.settle()
        assert not list(desk.module.queues.consumers("q"))


async def test_what_runs_counts_when_its_queue_is_back() -> None:
    options = {"queue_configs": {"q": {"concurrency": 1}}}
    async with queue_desk(options) as desk:
        calls = desk.handler("work", answer=None)
        for number in range(2):
            desk.enqueue("q", "work", number)
        await desk.settle()
        await take_out(desk)
        assert await desk.module.reconfigure(msgspec.convert(options, QueueOptions))
        await desk.settle()
        assert len(calls) == 1
        calls[0].reply()
        await desk.settle()
        assert desk.payloads("work") == [0, 1]


async def test_a_job_whose_subscription_ended_is_waited_for(desk: QueueDesk) -> None:
    calls = desk.handler("seen", answer=None)
    desk.trigger("t", "topic", "seen")
    desk.publish("topic", 1)
    await desk.settle()
    desk.engine.triggers.remove("t")
    await desk.advance(1)
    assert desk.module.queues.running() == 1
    calls[0].reply()
    await desk.settle()
    assert desk.module.queues.running() == 0


async def test_a_group_runs_one_job_when_the_limits_change(desk: QueueDesk) -> None:
    calls = desk.handler("seen", answer=None)
    desk.trigger("a", "t", "seen", queue_config={"type": "fifo"})
    for number, key in enumerate("GGH"):
        desk.publish("t", number, key=key)
    await desk.settle()
    assert desk.payloads("seen") == [0]
    desk.trigger("b", "t", "seen", queue_config={"type": "fifo", "concurrency": 5})
    await desk.settle()
    assert desk.payloads("seen") == [0, 2]
    calls[0].reply()
    await desk.settle()
    assert desk.payloads("seen") == [0, 2, 1]


@pytest.mark.parametrize("size", [1, 5000])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_job_that_is_being_replaced_as_it_becomes_due(
    desk: QueueDesk, size: int, fails: bool
) -> None:
    desk.handler("work")
    desk.enqueue("default", "work", "x" * size, debounce_key="k", debounce_ms=100)
    kept = desk.module.broker.queue(QueueName("default"))  # type: ignore[attr-defined]
    ((key, record),) = desk.store.page(kept.shelf.delayed, limit=1)
    desk.store.write(lambda t: t.delete(kept.shelf.delayed, key), lambda *_: None)
    await desk.advance(0.2)  # its successor is being committed
    assert desk.payloads("work") == []
    if fails:
        desk.store.write(lambda t: t.put(kept.shelf.delayed, key, record), lambda *_: None)
    else:
        kept.replaced(key)
    await desk.advance(2)
    assert desk.payloads("work") == (["x" * size] if fails else [])
    assert not any(desk.stats("default").values())
    assert kept.line.in_memory == 0


async def test_jobs_that_another_adapter_leaves_behind_are_told(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with shared(None, q={}) as (engine,):
        await engine.ask("iii::queue::pause", {"queue": "q"})
        for number in range(3):
            await engine.enqueue("q", "work", number)
        await engine.ask("iii::durable::publish", {"topic": "nobody's", "data": 1})
        await until(lambda: holds(engine, "q", (3, 0)))
        before = next(each.config for each in engine.config.entries if each.name == "iii-queue")
        engine.configure({"iii-queue": {"adapter": adapter_of("redis", redis_server.url)}})
        assert await engine.app.apply(engine.app.prepare(engine.config)) == []
        text = "4 jobs wait in this engine's own store, where only the adapter builtin has them"
        assert engine.status == text
        assert text in caplog.messages
        engine.configure({"iii-queue": before})
        assert await engine.app.apply(engine.app.prepare(engine.config)) == []
        assert engine.status == "running"
