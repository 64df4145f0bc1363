"""Jobs whose function has no provider: they wait for one that was there, and only for that."""

from __future__ import annotations

import json
import logging

import msgspec
import pytest
from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.core.clock import VirtualClock
from iii_engine.core.queue_room import AHEAD
from iii_engine.core.sessions import Session
from iii_engine.modules.queue.embedded import EmbeddedBroker
from iii_engine.modules.queue.job import QueueName
from iii_engine.modules.queue.options import QueueOptions
from iii_engine.storage.memory import MemoryStore


def worker(desk: QueueDesk, function_id: str) -> Session:
    """A connected worker that provides the function and answers nothing by itself."""
    session = desk.engine.connect(lambda _: None)
    register = {"type": "registerfunction", "id": function_id}
    desk.engine.receive(session, json.dumps(register).encode())
    session.take()
    return session


def began(session: Session) -> list[object]:
    """What the worker was called with since it was asked last."""
    frames = (json.loads(bytes(frame)) for frame in session.take() if isinstance(frame, bytes))
    return [frame["data"] for frame in frames if frame["type"] == "invokefunction"]


async def work_off(desk: QueueDesk) -> None:
    """So many jobs begin as there are ticks, or ten times as many where ten may run."""
    for _ in range(120):
        await desk.settle()


def in_memory(desk: QueueDesk) -> int:
    """How many jobs of the queue `q` the broker has in memory."""
    found = desk.module.broker
    assert isinstance(found, EmbeddedBroker)
    return found.queue(QueueName("q")).line.in_memory


def configs(**queues: object) -> dict[str, object]:
    return {"queue_configs": queues}


async def test_a_restart_of_the_only_worker_costs_a_job_one_attempt() -> None:
    async with queue_desk(configs(q={"max_retries": 2})) as desk:
        session = worker(desk, "work")
        desk.enqueue("q", "work", 1)
        await desk.settle()
        desk.engine.disconnect(session)
        await desk.advance(3600)
        assert (desk.stats("q")["waiting"], desk.stats("q")["dlq_depth"]) == (1, 0)
        again = worker(desk, "work")
        await desk.settle()
        assert began(again) == [1]
        desk.engine.disconnect(again)
        await desk.settle()
        (dead,) = desk.dead("q")
        assert dead["error"].startswith("invocation_stopped: ")
        assert dead["retries"] == 2


@pytest.mark.promise(
    "Queues",
    "The jobs of a function whose only worker restarts wait for it, for a day, in a named queue "
    "too; none dies meanwhile, and jobs of other functions go on.",
)
async def test_no_job_dies_while_its_worker_is_away_and_other_functions_go_on() -> None:
    async with queue_desk(configs(q={"max_retries": 1, "concurrency": 2})) as desk:
        session = worker(desk, "away")
        desk.engine.disconnect(session)
        for number in range(50):
            desk.enqueue("q", "away", number)
        desk.handler("there")
        desk.enqueue("q", "there", "after them")
        await work_off(desk)
        await desk.advance(60)
        assert desk.payloads("there") == ["after them"]
        assert desk.stats("q") == {"waiting": 50, "active": 0, "delayed": 0, "dlq_depth": 0}
        desk.handler("away")
        await work_off(desk)
        assert desk.payloads("away") == list(range(50))
        assert not any(desk.stats("q").values())


async def test_a_fifo_group_waits_in_its_order_and_other_groups_go_on() -> None:
    fifo = {"type": "fifo", "message_group_field": "g", "concurrency": 2}
    async with queue_desk(configs(q=fifo)) as desk:
        desk.engine.disconnect(worker(desk, "away"))
        desk.handler("there")
        for number in range(3):
            desk.enqueue("q", "away", {"g": "a", "n": number})
        desk.enqueue("q", "there", {"g": "a", "n": 3})
        desk.enqueue("q", "there", {"g": "b", "n": 4})
        await desk.advance(60)
        assert [data["n"] for data in desk.payloads("there")] == [4]
        desk.handler("away")
        await desk.advance(1)
        assert [data["n"] for data in desk.payloads("away")] == [0, 1, 2]
        assert [data["n"] for data in desk.payloads("there")] == [4, 3]


async def test_a_job_fails_as_usual_when_its_worker_was_away_for_too_long() -> None:
    options = configs(q={"max_retries": 2, "backoff_ms": 1000})
    options["adapter"] = {"name": "builtin", "config": {"binding_ttl_seconds": 100}}
    async with queue_desk(options) as desk:
        desk.engine.disconnect(worker(desk, "gone"))
        desk.enqueue("q", "gone", 1)
        await desk.advance(99)
        assert desk.stats("q")["dlq_depth"] == 0
        await desk.advance(3)
        (dead,) = desk.dead("q")
        assert (dead["error"], dead["retries"]) == (
            "function_not_found: Function gone not found",
            2,
        )


async def test_what_waits_for_a_worker_can_be_cancelled() -> None:
    async with queue_desk() as desk:
        desk.engine.disconnect(worker(desk, "away"))
        ids = [desk.enqueue("default", "away", number) for number in range(3)]
        await desk.settle()
        asked = {"queue": "default", "message_id": ids[1]}
        assert desk.ask("iii::queue::status", asked)["state"] == "waiting"
        assert desk.ask("iii::queue::cancel", asked)["was"] == "waiting"
        assert desk.stats("default")["waiting"] == 2
        desk.handler("away")
        await desk.settle()
        assert desk.payloads("away") == [0, 2]
        assert not any(desk.stats("default").values())


async def test_jobs_that_wait_for_a_worker_outlive_the_engine() -> None:
    clock, store = VirtualClock(), MemoryStore()
    async with queue_desk(clock=clock, store=store) as desk:
        desk.engine.disconnect(worker(desk, "away"))
        for number in range(3):
            desk.enqueue("default", "away", number)
        await desk.settle()
    clock.advance(1)
    async with queue_desk(clock=clock, store=store) as desk:
        await desk.advance(3600)
        assert desk.stats("default") == {"waiting": 3, "active": 0, "delayed": 0, "dlq_depth": 0}
        desk.handler("away")
        await desk.settle()
        assert desk.payloads("away") == [0, 1, 2]


async def test_nothing_starts_in_a_paused_queue_when_the_worker_is_back() -> None:
    async with queue_desk() as desk:
        desk.engine.disconnect(worker(desk, "away"))
        desk.enqueue("default", "away", 1)
        await desk.settle()
        desk.ask("iii::queue::pause", {"queue": "default"})
        desk.handler("away")
        await desk.settle()
        assert desk.payloads("away") == []
        desk.ask("iii::queue::resume", {"queue": "default"})
        await desk.settle()
        assert desk.payloads("away") == [1]


async def test_a_topic_whose_handler_is_away_keeps_its_jobs_and_loses_them_with_the_trigger() -> (
    None
):
    async with queue_desk() as desk:
        desk.engine.disconnect(worker(desk, "away"))
        desk.trigger("t", "orders", "away", queue_config={"maxRetries": 1})
        desk.publish("orders", 1)
        await desk.advance(60)
        assert desk.stats("orders")["waiting"] == 1
        desk.engine.triggers.remove("t")
        await desk.advance(0)
        (dead,) = desk.dead("orders")
        assert dead["error"] == "subscription removed"
        assert desk.stats("orders")["waiting"] == 0


async def test_more_than_fit_into_memory_wait(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with queue_desk(configs(q={"concurrency": 100})) as desk:
        desk.engine.disconnect(worker(desk, "away"))
        for number in range(12_000):
            desk.enqueue("q", "away", number)
        await desk.advance(120)
        assert desk.stats("q") == {"waiting": 12_000, "active": 0, "delayed": 0, "dlq_depth": 0}
        desk.handler("away")
        for _ in range(300):
            await desk.settle()
        assert desk.payloads("away") == list(range(12_000))
    assert len(caplog.records) == 1


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> int:
    """Memory has room for so few jobs of a queue when none of them may run."""
    monkeypatch.setattr("iii_engine.core.queue_room.WINDOW", 20)
    return 20 * AHEAD


@pytest.mark.promise(
    "Queues",
    "However many jobs wait for a function whose worker is away, the jobs of others run, and they "
    "take no memory.",
)
@pytest.mark.parametrize("delay_ms", [0, 500])
async def test_jobs_of_others_run_behind_more_than_fit_into_memory(
    little_room: int, delay_ms: int
) -> None:
    number = 5 * little_room
    async with queue_desk(configs(q={"concurrency": 10})) as desk:
        desk.engine.disconnect(worker(desk, "away"))
        for each in range(number):
            desk.enqueue("q", "away", each, delay_ms=delay_ms)
        desk.handler("there")
        for each in range(30):
            desk.enqueue("q", "there", each, delay_ms=delay_ms)
        await desk.advance(1)
        await work_off(desk)
        assert desk.payloads("there") == list(range(30))
        assert desk.stats("q") == {"waiting": number, "active": 0, "delayed": 0, "dlq_depth": 0}
        assert in_memory(desk) <= little_room
        desk.handler("away")
        desk.enqueue("q", "away", number)
        await work_off(desk)
        assert desk.payloads("away") == list(range(number + 1))
        assert not any(desk.stats("q").values())


async def test_what_came_while_a_worker_was_away_runs_before_what_came_after(
    little_room: int,
) -> None:
    """Also when the later ones are in memory, and the earlier ones are not."""
    number = 2 * little_room
    async with queue_desk(configs(q={"concurrency": 1})) as desk:
        desk.engine.disconnect(worker(desk, "away"))
        for each in range(number):
            desk.enqueue("q", "away", each)
        await work_off(desk)
        busy = worker(desk, "busy")
        for _ in range(2):
            desk.enqueue("q", "busy")
        await desk.settle()
        for each in range(number, 2 * number):
            desk.enqueue("q", "away", each)
        desk.handler("away")
        assert began(busy) == [None]
        desk.engine.disconnect(busy)  # its jobs wait in their turn
        await work_off(desk)
        assert desk.payloads("away") == list(range(2 * number))
        assert desk.stats("q")["waiting"] == 2
        desk.handler("busy")
        await work_off(desk)
        assert desk.payloads("busy") == [None, None]
        assert not any(desk.stats("q").values())


async def test_what_waits_beyond_memory_can_be_cancelled_and_keeps_its_order_when_limits_change(
    little_room: int,
) -> None:
    number = 2 * little_room
    standard = {"message_group_field": "g", "concurrency": 10}
    async with queue_desk(configs(q=standard)) as desk:
        desk.engine.disconnect(worker(desk, "away"))
        ids = [desk.enqueue("q", "away", {"g": "a", "n": each}) for each in range(number)]
        desk.handler("there")
        desk.enqueue("q", "there", {"g": "a", "n": number})
        await work_off(desk)
        asked = {"queue": "q", "message_id": ids[-1]}
        assert desk.ask("iii::queue::cancel", asked)["was"] == "waiting"
        assert desk.stats("q")["waiting"] == number - 1
        fifo = {**standard, "type": "fifo"}
        await desk.module.reconfigure(msgspec.convert(configs(q=fifo), QueueOptions))
        desk.enqueue("q", "there", {"g": "a", "n": number + 1})
        await work_off(desk)
        assert [data["n"] for data in desk.payloads("there")] == [number]
        desk.handler("away")
        await work_off(desk)
        assert [data["n"] for data in desk.payloads("away")] == list(range(number - 1))
        assert [data["n"] for data in desk.payloads("there")] == [number, number + 1]


async def test_groups_of_others_go_on_behind_more_jobs_of_waiting_groups_than_fit(
    little_room: int,
) -> None:
    number, fifo = 5 * little_room, {"type": "fifo", "message_group_field": "g", "concurrency": 2}
    async with queue_desk(configs(q=fifo)) as desk:
        desk.engine.disconnect(worker(desk, "away"))
        desk.handler("there")
        ids = [desk.enqueue("q", "away", {"g": each % 50, "n": each}) for each in range(number)]
        for group in (0, 1, 99):
            desk.enqueue("q", "there", {"g": group, "n": number})
        await work_off(desk)
        assert desk.payloads("there") == [{"g": 99, "n": number}]
        assert desk.stats("q")["waiting"] == number + 2
        assert in_memory(desk) <= little_room
        for message_id in ids[::50]:  # all of the group 0: nothing holds it up any more
            desk.ask("iii::queue::cancel", {"queue": "q", "message_id": message_id})
        await work_off(desk)
        assert [data["g"] for data in desk.payloads("there")] == [99, 0]
        desk.handler("away")
        await work_off(desk)
        assert [data["g"] for data in desk.payloads("there")] == [99, 0, 1]
        heard = desk.payloads("away")
        for group in range(1, 50):
            numbers = [data["n"] for data in heard if data["g"] == group]
            assert numbers == list(range(group, number, 50))
        assert not any(desk.stats("q").values())


async def test_more_waiting_groups_than_are_remembered_keep_their_order(little_room: int) -> None:
    number, fifo = 3 * little_room, {"type": "fifo", "message_group_field": "g", "concurrency": 2}
    async with queue_desk(configs(q=fifo)) as desk:
        desk.engine.disconnect(worker(desk, "away"))
        for each in range(2):
            for group in range(number):
                desk.enqueue("q", "away", {"g": group, "n": each})
        await work_off(desk)
        assert in_memory(desk) <= 3 * little_room
        assert desk.stats("q")["waiting"] == 2 * number
        desk.handler("away")
        await work_off(desk)
        heard = [(data["g"], data["n"]) for data in desk.payloads("away")]
        assert len(heard) == 2 * number
        assert sorted(heard) == sorted(heard, key=lambda each: (each[0], heard.index(each)))
        assert not any(desk.stats("q").values())


async def test_dropped_dead_letters_are_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    options = configs(q={"max_retries": 1, "dead_letter_max": 2})
    async with queue_desk(options) as desk:
        for number in range(20):
            desk.enqueue("q", "never there", number)
            await desk.settle()
        found = desk.ask("engine::queue::topic_stats", {"topic": "q", "details": True})
        assert (found["dlq_depth"], found["dlq_dropped"]) == (2, 18)
        await desk.advance(11)
    told = [record.message for record in caplog.records]
    assert len([text for text in told if "were dropped" in text]) == 4
    assert "queue q: 18 dead letters were dropped within 10 s" in told
    assert len([text for text in told if "is dead" in text]) == 3
    assert "queue q: 17 more jobs are dead" in told
