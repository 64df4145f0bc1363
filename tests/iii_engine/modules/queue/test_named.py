"""Named queues and the action `enqueue`: conformance cases 89 to 94, 98, 100 and 101."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import msgspec
import pytest
from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.core.router import Call
from iii_engine.modules.queue import QueueModule
from iii_engine.modules.queue.options import BadQueue, QueueConfig, QueueOptions
from iii_sdk.errors import BusError


def configs(**queues: dict[str, Any]) -> dict[str, Any]:
    return {"queue_configs": queues}


async def test_modules_case_89_three_deliveries_with_growing_pauses_then_the_dead_letters() -> None:
    async with queue_desk(configs(q={"max_retries": 3, "backoff_ms": 100})) as desk:
        times = desk.failing("work", "first", "second", "the real reason")
        receipt = desk.enqueue("q", "work", {"deep": [1, 2.50, "ä"]})
        await desk.advance(5)
        assert times == [0, 0.1, 0.3]
        (dead,) = desk.dead("q")
        assert dead["id"] == receipt
        assert dead["retries"] == 3
        assert dead["error"] == "broken: the real reason"
        assert dead["payload"] == {"deep": [1, 2.5, "ä"]}
        assert dead["failed_at"] == 1_700_000_000
        assert dead["size_bytes"] > 10
        assert desk.ask("engine::queue::dlq_topics") == [
            {"topic": "q", "broker_type": "builtin", "message_count": 1}
        ]


@pytest.mark.parametrize("retries", [0, 1])
async def test_modules_case_90_no_retries_is_one_delivery(retries: int) -> None:
    async with queue_desk(configs(q={"max_retries": retries})) as desk:
        times = desk.failing("work", "no", "no")
        desk.enqueue("q", "work")
        await desk.advance(10)
        assert times == [0]
        assert desk.stats("q")["dlq_depth"] == 1


async def test_modules_case_91_the_answer_is_a_receipt(desk: QueueDesk) -> None:
    receipt = uuid.UUID(desk.enqueue("default", "nobody::yet", 1))
    assert receipt.version == 4
    with pytest.raises(BusError, match="Queue 'x' not found") as refused:
        desk.enqueue("x", "work", 1)
    assert refused.value.code == "enqueue_error"


def test_a_queue_needs_a_name() -> None:
    with pytest.raises(BadQueue, match="a queue without a name"):
        QueueModule.check(QueueOptions(queue_configs={"": QueueConfig()}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"type": "fifo"}, "Queue 'q' is of type 'fifo' but 'message_group_field' is not set"),
        (
            {"type": "lifo"},
            "Queue 'q' has invalid type 'lifo'. Must be 'standard' or 'fifo'",
        ),
    ],
)
def test_modules_case_92_a_queue_that_cannot_be_is_a_startup_error(
    config: dict[str, Any], message: str
) -> None:
    options = msgspec.convert(configs(q=config), QueueOptions)
    with pytest.raises(BadQueue) as refused:
        QueueModule.check(options)
    assert refused.value.message == message


async def test_modules_case_92_a_fifo_job_needs_its_group() -> None:
    async with queue_desk(configs(q={"type": "fifo", "message_group_field": "who"})) as desk:
        for data, message in (
            ({"a": 1}, "FIFO queue 'q' requires field 'who' in data, but it was not found"),
            ([1], "FIFO queue 'q' requires field 'who' in data, but it was not found"),
            ({"who": None}, "FIFO queue 'q': field 'who' must not be null"),
        ):
            with pytest.raises(BusError) as refused:
                desk.enqueue("q", "work", data)
            assert (refused.value.code, refused.value.message) == ("enqueue_error", message)
        assert desk.stats("q")["waiting"] == 0


async def test_modules_case_93_a_group_keeps_its_order_and_holds_up_no_other() -> None:
    async with queue_desk(configs(q={"type": "fifo", "message_group_field": "g"})) as desk:
        seen: list[tuple[str, int, float]] = []
        failures = Counter({("A", 1): 2})
        began = desk.clock.monotonic_ns()

        def work(call: Call) -> None:
            job = msgspec.json.decode(call.data)
            what = (job["g"], job["n"])
            seen.append((*what, (desk.clock.monotonic_ns() - began) / 1e9))
            failures[what] -= 1
            if failures[what] >= 0:
                call.fail("broken", "not yet")
            else:
                call.reply()

        desk.engine.add_function("work", work, module="test")
        for group, number in (("A", 1), ("A", 2), ("B", 1), ("A", 3), ("B", 2)):
            desk.enqueue("q", "work", {"g": group, "n": number})
        await desk.settle()
        assert seen == [("A", 1, 0), ("B", 1, 0), ("B", 2, 0)]
        await desk.advance(10)
        assert seen[3:] == [("A", 1, 1), ("A", 1, 3), ("A", 2, 3), ("A", 3, 3)]
        assert desk.stats("q") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 0}


async def test_modules_case_94_never_more_at_once_than_allowed_in_the_order_they_came() -> None:
    async with queue_desk(configs(q={"concurrency": 5})) as desk:
        running = most = 0
        started: list[int] = []

        def work(call: Call) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            started.append(msgspec.json.decode(call.data))

            def end() -> None:
                nonlocal running
                running -= 1
                call.reply()

            desk.engine.timers.after(0.2, end)

        desk.engine.add_function("work", work, module="test")
        for number in range(20):
            desk.enqueue("q", "work", number)
        await desk.advance(1.19)
        assert most == 5
        assert started == list(range(20))
        assert desk.stats("q") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 0}


async def test_modules_case_98_dead_jobs_live_again() -> None:
    async with queue_desk(configs(q={"max_retries": 1})) as desk:
        desk.failing("work", "no", "no", "no", "no", "no")
        ids = [desk.enqueue("q", "work", number) for number in range(5)]
        await desk.settle()
        assert [dead["id"] for dead in desk.dead("q")] == ids[::-1]
        page = desk.ask("engine::queue::dlq_messages", {"topic": "q", "offset": 1, "limit": 2})
        assert [dead["id"] for dead in page] == [ids[3], ids[2]]

        def one(function_id: str, message_id: str) -> Any:
            return desk.ask(function_id, {"queue": "q", "message_id": message_id})

        unknown = {"queue": "q", "message_id": "no-such", "redriven": 0}
        assert one("iii::queue::redrive_message", "no-such") == unknown
        assert one("iii::queue::discard_message", "no-such") == unknown
        assert one("iii::queue::discard_message", ids[0])["redriven"] == 1
        assert one("iii::queue::discard_message", ids[0])["redriven"] == 0
        assert one("iii::queue::redrive_message", ids[1])["redriven"] == 1
        handled = desk.handler("work")
        await desk.settle()
        assert desk.ask("iii::queue::redrive", {"queue": "q"}) == {"queue": "q", "redriven": 3}
        await desk.settle()
        assert desk.payloads("work") == [1, 2, 3, 4]
        assert len(handled) == 4
        assert desk.ask("iii::queue::redrive", {"queue": "q"}) == {"queue": "q", "redriven": 0}
        assert desk.dead("q") == []


async def test_modules_case_98_a_redriven_job_has_all_its_attempts_and_its_id() -> None:
    async with queue_desk(configs(q={"max_retries": 2, "backoff_ms": 100})) as desk:
        times = desk.failing("work", *["no"] * 4)
        receipt = desk.enqueue("q", "work", 1)
        await desk.advance(1)
        desk.ask("iii::queue::redrive", {"queue": "q"})
        await desk.advance(1)
        assert times == [0, 0.1, 1, 1.1]
        (dead,) = desk.dead("q")
        assert (dead["id"], dead["retries"]) == (receipt, 2)


async def test_modules_case_100_named_queues_are_listed_with_their_concurrency() -> None:
    async with queue_desk(configs(mail={"concurrency": 3})) as desk:
        assert desk.ask("engine::queue::list_topics") == [
            {"name": "default", "broker_type": "builtin", "subscriber_count": 10},
            {"name": "mail", "broker_type": "builtin", "subscriber_count": 3},
        ]
        assert desk.ask("engine::queue::topic_stats", {"topic": "mail"})["consumer_count"] == 3


async def test_modules_case_101_the_queue_default_needs_no_config(desk: QueueDesk) -> None:
    desk.handler("work")
    desk.enqueue("default", "work", {"n": 1})
    await desk.settle()
    assert desk.payloads("work") == [{"n": 1}]


async def test_a_missing_function_is_an_ordinary_failure(desk: QueueDesk) -> None:
    desk.enqueue("default", "later", 1)
    await desk.settle()
    assert desk.stats("default")["delayed"] == 1
    desk.handler("later")
    await desk.advance(1)
    assert desk.payloads("later") == [1]


async def test_a_job_waits_for_a_function_that_another_engine_has_lent() -> None:
    async with queue_desk(configs(q={"max_retries": 1})) as desk:
        desk.enqueue("q", "bridged::work", 1)
        await desk.advance(60)
        assert (desk.stats("q")["delayed"], desk.stats("q")["dlq_depth"]) == (1, 0)
        times = desk.failing("bridged::work")
        await desk.advance(10)
        assert len(times) == 1
        assert desk.stats("q")["delayed"] == 0


async def test_a_job_dies_when_its_engine_is_away_for_a_day() -> None:
    async with queue_desk(configs(q={"max_retries": 1})) as desk:
        desk.enqueue("q", "bridged::work", 1)
        await desk.advance(86_000)
        assert desk.stats("q")["dlq_depth"] == 0
        await desk.advance(500)
        (dead,) = desk.dead("q")
        assert dead["error"].startswith("function_away: bridged::work is a function of another")
