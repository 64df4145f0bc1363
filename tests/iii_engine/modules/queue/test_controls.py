"""Cancel, status, leases, pause, limits of keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.core.clock import VirtualClock
from iii_engine.storage.memory import MemoryStore


def ask(desk: QueueDesk, what: str, message_id: str = "", queue: str = "q", **more: Any) -> Any:
    payload = {"queue": queue, **more}
    if message_id:
        payload["message_id"] = message_id
    return desk.ask(f"iii::queue::{what}", payload)


async def test_status_says_how_far_a_job_is() -> None:
    async with queue_desk({"queue_configs": {"q": {"concurrency": 1, "max_retries": 2}}}) as desk:
        calls = desk.handler("work", answer=None)
        first, second = desk.enqueue("q", "work", 1), desk.enqueue("q", "work", 2)
        await desk.settle()
        assert ask(desk, "status", first)["state"] == "active"
        assert ask(desk, "status", second)["state"] == "waiting"
        assert ask(desk, "status", "unknown")["state"] is None
        calls[0].fail("broken", "reason")
        await desk.settle()
        found = ask(desk, "status", first)
        assert (found["state"], found["attempts"]) == ("delayed", 1)
        assert found["error"] == "broken: reason"
        assert found["process_at"] - found["created_at"] == 1000
        calls[1].reply()
        await desk.advance(1)
        calls[2].fail("broken", "for good")
        await desk.settle()
        found = ask(desk, "status", first)
        assert (found["state"], found["attempts"]) == ("dlq", 2)
        assert ask(desk, "status", second)["state"] is None


async def test_a_job_is_cancelled_before_it_runs() -> None:
    async with queue_desk({"queue_configs": {"q": {"concurrency": 1}}}) as desk:
        calls = desk.handler("work", answer=None)
        ids = [desk.enqueue("q", "work", number) for number in range(3)]
        delayed = desk.enqueue("q", "work", "delayed", delay_ms=1000)
        named = desk.enqueue("q", "work", "named", message_id="mine")
        await desk.settle()
        for message_id, was in ((ids[1], "waiting"), (delayed, "delayed"), (named, "waiting")):
            assert ask(desk, "status", message_id)["state"] == was
            answer = ask(desk, "cancel", message_id)
            assert (answer["cancelled"], answer["was"]) == (True, was)
            assert ask(desk, "cancel", message_id)["cancelled"] is False
        calls[0].reply()
        await desk.advance(2)
        assert desk.payloads("work") == [0, 2]
        calls[1].reply()
        await desk.settle()
        assert desk.stats("q") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 0}
        assert desk.store.read(lambda t: t.spaces("queue/named")) == []


async def test_the_answer_of_a_cancelled_job_does_not_count() -> None:
    async with queue_desk({"queue_configs": {"q": {"concurrency": 1}}}) as desk:
        calls = desk.handler("work", answer=None)
        first = desk.enqueue("q", "work", 1)
        desk.enqueue("q", "work", 2)
        await desk.settle()
        assert ask(desk, "cancel", first)["was"] == "active"
        await desk.settle()
        assert desk.payloads("work") == [1, 2]
        calls[0].fail("broken", "late")
        await desk.settle()
        assert desk.stats("q") == {"waiting": 0, "active": 1, "delayed": 0, "dlq_depth": 0}


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_job_is_cancelled_while_it_waits_for_its_next_attempt(fifo: bool) -> None:
    config = {"type": "fifo", "message_group_field": "g"} if fifo else {}
    async with queue_desk({"queue_configs": {"q": config}}) as desk:
        calls = desk.handler("work", answer=None)
        first = desk.enqueue("q", "work", {"g": 1})
        second = desk.enqueue("q", "work", {"g": 2})
        await desk.settle()
        calls[0].fail("broken", "once")
        assert ask_later(desk, "cancel", first) == []  # it is just being stored
        await desk.settle()
        calls[1].fail("broken", "once")
        await desk.settle()
        assert ask(desk, "cancel", second)["cancelled"] is True
        await desk.advance(10)
        assert len(calls) == 2
        assert desk.stats("q") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 0}


def ask_later(desk: QueueDesk, what: str, message_id: str) -> list[Any]:
    """The answers there are when the call returns."""
    answers: list[Any] = []
    payload = json.dumps({"queue": "q", "message_id": message_id}).encode()
    desk.engine.call(f"iii::queue::{what}", payload, lambda *answer: answers.append(answer))
    return answers


async def test_a_lease_ends_without_a_heartbeat_and_the_late_answer_is_ignored() -> None:
    config = {"visibility_timeout_ms": 1000, "backoff_ms": 500}
    async with queue_desk({"queue_configs": {"q": config}}) as desk:
        calls = desk.handler("work", answer=None)
        job = desk.enqueue("q", "work", 1)
        await desk.settle()
        for _ in range(3):
            await desk.advance(0.9)
            assert ask(desk, "heartbeat", job)["renewed"] is True
        await desk.advance(1)
        assert ask(desk, "status", job)["error"].startswith("lease_expired: ")
        await desk.advance(0.5)
        assert len(calls) == 2
        calls[0].reply()  # of the lease that is over
        await desk.settle()
        assert desk.stats("q")["active"] == 1
        calls[1].reply()
        await desk.settle()
        assert desk.stats("q")["active"] == 0
        assert ask(desk, "heartbeat", job)["renewed"] is False


@pytest.mark.promise("Queues", "A later holder of a job has a greater token, so older ones show.")
async def test_tokens_grow_and_fence_off_earlier_holders() -> None:
    config = {"visibility_timeout_ms": 1000, "backoff_ms": 0}
    clock, store = VirtualClock(), MemoryStore()
    options = {"queue_configs": {"q": config}}
    tokens = []
    for _ in range(2):
        async with queue_desk(options, clock=clock, store=store) as desk:
            calls = desk.handler("work", answer=None)
            if not tokens:
                job = desk.enqueue("q", "work", 1)
            await desk.advance(1)
            assert len(calls) == 2
            tokens += [json.loads(bytes(call.metadata))["iii_queue"] for call in calls]
            old, new = (each["token"] for each in tokens[-2:])
            assert ask(desk, "heartbeat", job, token=old)["renewed"] is False
            assert ask(desk, "heartbeat", job, token=new)["renewed"] is True
    assert [each["attempt"] for each in tokens] == [0, 1, 1, 2]
    assert tokens[0] == {
        "queue": "q",
        "message_id": job,
        "attempt": 0,
        "token": tokens[0]["token"],
        "visibility_timeout_ms": 1000,
    }
    numbers = [each["token"] for each in tokens]
    assert numbers == sorted(set(numbers))


async def test_a_paused_queue_starts_nothing_also_after_a_restart() -> None:
    clock, store = VirtualClock(), MemoryStore()
    async with queue_desk({"queue_configs": {"q": {}}}, clock=clock, store=store) as desk:
        desk.handler("work")
        desk.trigger("t", "topic", "work")
        for queue in ("q", "topic"):
            assert ask(desk, "pause", queue=queue) == {"queue": queue, "paused": True}
        desk.enqueue("q", "work", 1)
        desk.publish("topic", 2)
        await desk.settle()
        assert desk.payloads("work") == []
        asked = {"topic": "q", "details": True}
        assert desk.ask("engine::queue::topic_stats", asked)["paused"] is True
    async with queue_desk({"queue_configs": {"q": {}}}, clock=clock, store=store) as desk:
        desk.handler("work")
        desk.trigger("t", "topic", "work")
        await desk.advance(5)
        assert desk.payloads("work") == []
        for queue in ("q", "topic"):
            assert ask(desk, "resume", queue=queue) == {"queue": queue, "paused": False}
        await desk.settle()
        assert desk.payloads("work") == [1, 2]


async def test_jobs_of_a_key_keep_to_its_concurrency() -> None:
    config = {"message_group_field": "who", "key_concurrency": 2}
    async with queue_desk({"queue_configs": {"q": config}}) as desk:
        calls = desk.handler("work", answer=None)
        for who in "aaaab":
            desk.enqueue("q", "work", {"who": who})
        await desk.settle()
        assert [data["who"] for data in desk.payloads("work")] == ["a", "a", "b"]
        calls[0].fail("broken", "waits for its next attempt without holding up others")
        await desk.settle()
        assert len(calls) == 4


async def test_jobs_of_a_key_keep_to_its_rate() -> None:
    config = {"message_group_field": "who", "key_rate_limit": 2, "key_rate_period_ms": 1000}
    async with queue_desk({"queue_configs": {"q": config}}) as desk:
        times = desk.failing("work")
        for who in "aaaab":
            desk.enqueue("q", "work", {"who": who})
        await desk.advance(5)
        assert times == [0, 0, 0, 1, 1]


async def test_a_topic_can_be_fifo_by_key() -> None:
    async with queue_desk() as desk:
        calls = desk.handler("seen", answer=None)
        desk.trigger("t", "topic", "seen", queue_config={"type": "fifo", "concurrency": 2})
        for number, key in enumerate("aabbc"):
            desk.publish("topic", number, key=key)
        await desk.settle()
        assert desk.payloads("seen") == [0, 2]
        calls[1].reply()
        await desk.settle()
        assert desk.payloads("seen") == [0, 2, 3]


async def test_a_fifo_topic_is_strictly_one_at_a_time() -> None:
    async with queue_desk() as desk:
        times = desk.failing("seen", "no", "no")
        desk.trigger("t", "topic", "seen", queue_config={"type": "fifo"})
        for key in "ab":
            desk.publish("topic", key, key=key)
        await desk.advance(10)
        assert times == [0, 1, 3, 3]


async def test_the_metrics_tell_depth_and_dead_letters() -> None:
    async with queue_desk({"queue_configs": {"q": {"max_retries": 1}}}) as desk:
        desk.failing("dies", "no")
        desk.enqueue("q", "dies")
        desk.publish("topic", 1)
        await desk.settle()
        meters = desk.engine.meters

        def points(name: str) -> list[Any]:
            reading = meters.reading(name)
            return [] if reading is None else reading.points

        assert points("iii.queue.depth") == [(("default",), 0), (("q",), 0), (("topic",), 1)]
        assert points("iii.queue.dlq") == [(("default",), 0), (("q",), 1), (("topic",), 0)]
    assert points("iii.queue.depth") == []
