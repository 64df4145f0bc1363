"""What a producer may ask for a job: delay, priority, once only, debounce."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.core.clock import VirtualClock
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError


async def test_a_delayed_job_runs_when_it_is_due(desk: QueueDesk) -> None:
    times = desk.failing("work")
    desk.enqueue("default", "work", delay_ms=1500)
    desk.trigger("t", "topic", "work")
    desk.publish("topic", delay_ms=500)
    await desk.advance(3)
    assert times == [0.5, 1.5]


async def test_a_delayed_job_that_is_due_goes_to_the_front() -> None:
    options = {"queue_configs": {"q": {"concurrency": 1}}}
    async with queue_desk(options) as desk:
        calls = desk.handler("work", answer=None)
        desk.enqueue("q", "work", "later", delay_ms=1000)
        for number in range(3):
            desk.enqueue("q", "work", number)
        await desk.advance(2)
        for done in range(4):
            calls[done].reply()
            await desk.settle()
        assert desk.payloads("work") == [0, "later", 1, 2]


async def test_a_higher_priority_overtakes_but_not_for_ever() -> None:
    options = {"queue_configs": {"q": {"concurrency": 1, "priority_aging_ms": 1000}}}
    async with queue_desk(options) as desk:
        calls = desk.handler("work", answer=None)
        desk.enqueue("q", "work", "runs")
        await desk.settle()
        desk.enqueue("q", "work", "usual")
        desk.enqueue("q", "work", "low", priority=-2)
        desk.enqueue("q", "work", "high", priority=3)
        await desk.advance(2.5)
        desk.enqueue("q", "work", "later")
        desk.enqueue("q", "work", "later and high", priority=2)
        for done in range(6):
            calls[done].reply()
            await desk.settle()
        assert desk.payloads("work") == ["runs", "high", "usual", "later and high", "low", "later"]


async def test_a_fifo_queue_has_no_priorities() -> None:
    fifo = {"type": "fifo", "message_group_field": "g"}
    async with queue_desk({"queue_configs": {"q": fifo}}) as desk:
        with pytest.raises(BusError, match="has no priorities"):
            desk.enqueue("q", "work", {"g": 1}, priority=1)


@pytest.mark.promise("Queues", "Two jobs with one idempotency key are one, also after a restart.")
async def test_a_second_job_with_the_same_idempotency_key_is_the_first_one() -> None:
    clock, store = VirtualClock(), MemoryStore()
    async with queue_desk(clock=clock, store=store) as desk:
        desk.handler("work")
        first = desk.enqueue("default", "work", 1, idempotency_key="k", dedupe_window_ms=60_000)
        await desk.settle()
        assert desk.enqueue("default", "work", 2, idempotency_key="k") == first
        assert desk.enqueue("default", "work", 3, idempotency_key="other") != first
        await desk.settle()
        assert desk.payloads("work") == [1, 3]
    async with queue_desk(clock=clock, store=store) as desk:
        desk.handler("work")
        clock.advance(59)
        assert desk.enqueue("default", "work", 4, idempotency_key="k") == first
        clock.advance(1)
        assert desk.enqueue("default", "work", 5, idempotency_key="k") != first
        await desk.settle()
        assert desk.payloads("work") == [5]


async def test_a_message_id_is_the_id_of_the_job_and_counts_once(desk: QueueDesk) -> None:
    for topic in ("early", "late"):
        desk.handler(topic)
    desk.trigger("t", "late", "late")
    for topic in ("early", "late"):
        options = {"message_id": "order-7", "return_receipt": True}
        assert desk.publish(topic, 1, **options) == {"message_id": "order-7", "duplicate": False}
        assert desk.publish(topic, 2, **options) == {"message_id": "order-7", "duplicate": True}
    desk.trigger("t2", "early", "early")
    await desk.settle()
    assert desk.payloads("early") == desk.payloads("late") == [1]


async def test_keys_that_are_over_do_not_pile_up(desk: QueueDesk) -> None:
    desk.handler("work")
    for number in range(50):
        desk.enqueue("default", "work", idempotency_key=str(number), dedupe_window_ms=1000)
        await desk.advance(0.1)
    assert desk.store.read(lambda t: t.count("queue/seen/named/default")) <= 12


async def test_of_jobs_that_follow_each_other_closely_the_last_one_runs(desk: QueueDesk) -> None:
    times = desk.failing("work")
    desk.trigger("t", "changes", "seen")
    desk.handler("seen")
    ids = []
    for number in range(4):
        ids.append(desk.enqueue("default", "work", number, debounce_ms=1000))
        desk.publish("changes", number, debounce_ms=1000, debounce_key=f"file {number % 2}")
        await desk.advance(0.4)
    assert len(set(ids)) == 1
    await desk.advance(5)
    assert times == [2.2]
    assert desk.payloads("seen") == [2, 3]
    assert desk.enqueue("default", "work", 9, debounce_ms=1000) != ids[0]
    await desk.advance(5)
    assert times == [2.2, 7.6]
    assert desk.store.read(lambda t: t.count("queue/named/default/debounced")) <= 1


@pytest.mark.parametrize(
    "options",
    [{"delay_ms": -1}, {"priority": 1001}, {"message_id": ""}, {"delay_ms": "soon"}],
)
async def test_what_makes_no_sense_is_refused_with_its_path(
    desk: QueueDesk, options: dict[str, Any]
) -> None:
    with pytest.raises(BusError) as refused:
        desk.publish("topic", 1, **options)
    assert refused.value.code == "deserialization_error"
    assert f"$.{next(iter(options))}" in refused.value.message
