"""What an operator sees: topics nobody subscribes to, queues that are not configured any more,
figures that were asked for, names that do not exist."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.core.clock import VirtualClock
from iii_engine.modules.base import RUNNING
from iii_engine.modules.queue.options import QueueOptions
from iii_engine.modules.queue.pauses import SPACE
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError


def listed(desk: QueueDesk) -> dict[str, int]:
    return {
        row["name"]: row["subscriber_count"]
        for row in desk.ask("engine::queue::list_topics")
        if row["name"] != "default"
    }


async def test_a_topic_whose_jobs_wait_for_a_first_subscriber_is_listed(desk: QueueDesk) -> None:
    desk.publish("orphan", 1)
    assert listed(desk) == {"orphan": 0}
    desk.handler("seen")
    desk.trigger("t", "orphan", "seen")
    await desk.settle()
    assert listed(desk) == {"orphan": 1}


async def test_a_topic_with_dead_jobs_is_listed_when_its_subscription_is_gone() -> None:
    async with queue_desk() as desk:
        desk.failing("seen", "no")
        desk.trigger("t", "topic", "seen", queue_config={"maxRetries": 1})
        desk.publish("topic", 1)
        await desk.settle()
        desk.engine.triggers.remove("t")
        await desk.advance(1)
        assert listed(desk) == {"topic": 0}
        (dead,) = desk.dead("topic")
        desk.ask("iii::queue::discard_message", {"queue": "topic", "message_id": dead["id"]})
        assert listed(desk) == {}


async def test_a_list_counts_all_subscribers_in_one_pass(
    desk: QueueDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        desk.trigger(f"t{number}", f"topic{number}", "seen")
    subscribers, passes = desk.module.queues.subscribers, []
    every = type(subscribers).__iter__
    monkeypatch.setattr(type(subscribers), "__iter__", lambda self: passes.append(1) or every(self))
    assert set(listed(desk).values()) == {1}
    assert len(passes) == 1


async def test_stats_are_those_of_the_contract_unless_more_are_asked_for(desk: QueueDesk) -> None:
    desk.publish("topic", 1, delay_ms=1000)
    usual = {"depth": 1, "consumer_count": 0, "dlq_depth": 0, "config": None}
    assert desk.ask("engine::queue::topic_stats", {"topic": "topic"}) == usual
    more = {"waiting": 0, "active": 0, "delayed": 1, "dlq_dropped": 0, "paused": False}
    asked = {"topic": "topic", "details": True}
    assert desk.ask("engine::queue::topic_stats", asked) == usual | more


@pytest.mark.parametrize("function", ["pause", "resume"])
async def test_a_queue_that_nobody_knows_can_neither_be_paused_nor_resumed(
    desk: QueueDesk, function: str
) -> None:
    with pytest.raises(BusError, match=r"'orders'.*\$\.queue") as refusal:
        desk.ask(f"iii::queue::{function}", {"queue": "orders"})
    assert refusal.value.code == "queue_not_found"
    assert desk.store.read(lambda t: t.count(SPACE)) == 0


async def test_a_pause_can_be_taken_back_when_its_topic_is_gone() -> None:
    clock, store = VirtualClock(), MemoryStore()
    async with queue_desk({"queue_configs": {"q": {}}}, clock=clock, store=store) as desk:
        desk.ask("iii::queue::pause", {"queue": "q"})
    async with queue_desk(clock=clock, store=store) as desk:
        desk.ask("iii::queue::resume", {"queue": "q"})
        assert desk.store.read(lambda t: t.count(SPACE)) == 0


async def reconfigure(desk: QueueDesk, **queues: Any) -> None:
    options = msgspec.convert({"queue_configs": queues}, QueueOptions)
    assert await desk.module.reconfigure(options)


async def test_a_queue_taken_out_of_the_config_tells_what_waits_in_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, store = VirtualClock(), MemoryStore()
    options = {"queue_configs": {"q/1": {"max_retries": 1}, "empty": {}}}
    async with queue_desk(options, clock=clock, store=store) as desk:
        desk.failing("work", "no")
        desk.enqueue("q/1", "work")
        await desk.settle()
        desk.ask("iii::queue::pause", {"queue": "q/1"})
        for _ in range(3):
            desk.enqueue("q/1", "work")
        caplog.clear()
        await reconfigure(desk)
        check_left(desk, caplog)
    caplog.clear()
    async with queue_desk(clock=clock, store=store) as desk:
        check_left(desk, caplog)
        caplog.clear()
        (dead,) = desk.dead("q/1")
        desk.ask("iii::queue::discard_message", {"queue": "q/1", "message_id": dead["id"]})
        desk.handler("work")
        desk.ask("iii::queue::resume", {"queue": "q/1"})
        await reconfigure(desk, **{"q/1": {}})
        await desk.settle()
        assert desk.payloads("work") == [None] * 3
        await reconfigure(desk)
        assert (listed(desk), desk.module.status(), caplog.messages) == ({}, RUNNING, [])


def check_left(desk: QueueDesk, caplog: pytest.LogCaptureFixture) -> None:
    assert caplog.messages == [
        "queue q/1 is not configured any more: 3 jobs wait in it and 1 are dead"
    ]
    assert listed(desk) == {"q/1": 0}
    assert desk.module.status() == "jobs wait in queues that are not configured: q/1 (3)"
    assert desk.ask("engine::queue::topic_stats", {"topic": "q/1"})["depth"] == 3
    assert [row["topic"] for row in desk.ask("engine::queue::dlq_topics")] == ["q/1"]
    assert json.dumps(desk.dead("q/1")[0]["error"]) == '"broken: no"'


async def test_few_of_many_topics_are_whole(desk: QueueDesk) -> None:
    for topic in ("a", "b", "c"):
        for function_id in ("f", "g"):
            desk.trigger(f"{topic}{function_id}", topic, function_id)
    queues = desk.module.queues
    every = queues.all_behind()
    assert {name: queues.behind(name) for name in every} == every
    few = queues.all_behind(2)
    assert [name for name in few if name in "abc"] == ["a", "b"]
    assert all(every[name] == behind for name, behind in few.items())
