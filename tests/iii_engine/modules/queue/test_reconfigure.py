"""Other options while jobs wait and run; draining and stopping."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.support.engine import RunningEngine
from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.core.clock import VirtualClock
from iii_engine.module_set import StartError
from iii_engine.modules.queue import QueueModule
from iii_engine.modules.queue.options import QueueOptions
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError


async def reconfigure(desk: QueueDesk, **options: Any) -> bool:
    return await desk.module.reconfigure(msgspec.convert(options, QueueOptions))


async def test_settings_of_a_queue_change_in_place(desk: QueueDesk) -> None:
    assert await reconfigure(desk, queue_configs={"q": {"concurrency": 1, "backoff_ms": 100}})
    calls = desk.handler("work", answer=None)
    for number in range(5):
        desk.enqueue("q", "work", number)
    await desk.settle()
    assert desk.payloads("work") == [0]
    assert await reconfigure(desk, queue_configs={"q": {"concurrency": 3, "max_retries": 1}})
    await desk.settle()
    assert desk.payloads("work") == [0, 1, 2]
    calls[0].fail("broken", "it had three attempts when it began, and has one now")
    await desk.settle()
    assert desk.stats("q")["dlq_depth"] == 1


async def test_limits_of_keys_change_in_place() -> None:
    config = {"message_group_field": "g", "key_concurrency": 1}
    async with queue_desk({"queue_configs": {"q": config}}) as desk:
        calls = desk.handler("work", answer=None)
        for _ in range(4):
            desk.enqueue("q", "work", {"g": 1})
        await desk.settle()
        assert len(calls) == 1
        await reconfigure(desk, queue_configs={"q": {**config, "key_concurrency": 3}})
        await desk.settle()
        assert len(calls) == 3


async def test_a_queue_that_is_taken_out_keeps_its_jobs() -> None:
    async with queue_desk({"queue_configs": {"q": {"concurrency": 1}}}) as desk:
        calls = desk.handler("work", answer=None)
        for number in range(3):
            desk.enqueue("q", "work", number)
        await desk.settle()
        assert await reconfigure(desk)
        with pytest.raises(BusError, match="Queue 'q' not found"):
            desk.enqueue("q", "work")
        calls[0].reply()  # what runs ends as it would
        await desk.settle()
        assert desk.payloads("work") == [0]
        assert await reconfigure(desk, queue_configs={"q": {}})
        await desk.settle()
        assert desk.payloads("work") == [0, 1, 2]
        assert desk.ask("iii::queue::status", {"queue": "q", "message_id": "x"})["state"] is None


async def test_defaults_of_topics_change_for_bound_triggers(desk: QueueDesk) -> None:
    times = desk.failing("seen", *["no"] * 9)
    desk.trigger("t", "topic", "seen")
    adapter = {"name": "builtin", "config": {"max_attempts": 2, "backoff_ms": 50}}
    assert await reconfigure(desk, adapter=adapter)
    desk.publish("topic", 1)
    await desk.advance(5)
    assert times == [0, 0.05]
    concurrent = desk.handler("other", answer=None)
    assert await reconfigure(desk, adapter={"config": {"mode": "fifo"}})
    desk.trigger("t2", "topic", "other")
    for number in range(3):
        desk.publish("topic", number)
    await desk.settle()
    assert len(concurrent) == 1


async def test_draining_lets_jobs_end_and_starts_none() -> None:
    clock, store = VirtualClock(), MemoryStore()
    async with queue_desk(
        {"queue_configs": {"q": {"concurrency": 1}}}, clock=clock, store=store
    ) as desk:
        calls = desk.handler("work", answer=None)
        for number in range(2):
            desk.enqueue("q", "work", number)
        await desk.settle()
        draining = asyncio.create_task(desk.module.drain(10))
        await desk.settle()
        assert not draining.done()
        calls[0].reply()
        await draining
        await desk.settle()
        assert desk.payloads("work") == [0]
    assert store.read(lambda t: t.count("queue/named/q/jobs")) == 1


async def test_draining_ends_although_a_job_does_not(desk: QueueDesk) -> None:
    desk.handler("work", answer=None)
    desk.enqueue("default", "work")
    await desk.settle()
    await desk.module.drain(0.01)
    assert desk.stats("default")["active"] == 1


async def test_after_the_shutdown_began_nothing_is_started(desk: QueueDesk) -> None:
    desk.handler("work")
    await desk.module.quiesce()
    desk.enqueue("default", "work")
    await desk.settle()
    assert desk.payloads("work") == []
    assert desk.stats("default")["waiting"] == 1


async def test_another_adapter_needs_a_restart(desk: QueueDesk) -> None:
    assert not await reconfigure(desk, adapter={"name": "bridge"})


async def test_without_the_module_nothing_is_enqueued() -> None:
    async with queue_desk() as desk:
        engine = desk.engine
    assert engine.enqueue is None
    assert engine.meters.reading("iii.queue.depth").points == []  # type: ignore[union-attr]


def test_an_unknown_key_of_a_queue_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"queue_configs\[\.\.\.\]"):
        msgspec.convert({"queue_configs": {"q": {"retries": 3}}}, QueueOptions)
    options = msgspec.convert({"adapter": {"config": {"x": 1}}}, QueueOptions)
    with pytest.raises(BusError, match="x"):
        QueueModule.check(options)


async def test_a_second_module_on_the_same_store_is_refused() -> None:
    engine = RunningEngine({"iii-queue#1": {}})
    with pytest.raises(StartError, match="iii-queue already works on the jobs"):
        await engine.start()


@pytest.mark.parametrize("kept", [True, False])
async def test_what_runs_when_the_module_is_taken_out_changes_nothing_afterwards(
    kept: bool,
) -> None:
    """Another module runs the job again; also where its queue was taken out before."""
    store, queues = MemoryStore(), {"queue_configs": {"q": {"backoff_ms": 100}}}
    async with queue_desk(queues, store=store) as desk:
        late = desk.handler("work", answer=None)
        desk.enqueue("q", "work", 1)
        await desk.settle()
        if not kept:
            assert await reconfigure(desk, queue_configs={})
        before = contents(store)
        await desk.module.stop()
        late[0].fail("broken", "too late")
        await desk.advance(3)
        assert contents(store) == before


def contents(store: MemoryStore) -> dict[str, list[tuple[str, bytes]]]:
    return store.read(
        lambda t: {space: list(t.items(space)) for space in t.spaces("queue") if t.count(space)}
    )
