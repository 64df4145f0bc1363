"""A store that cannot write: nothing is lost that was acknowledged, and what is decided is written
as soon as it can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError

T = TypeVar("T")


class FullStore(MemoryStore):
    """Refuses while `full`."""

    full = False

    def write(
        self,
        work: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        if self.full:
            done(None, StoreError("disk full"))
        else:
            super().write(work, done)


async def test_what_cannot_be_stored_is_refused_and_does_not_run() -> None:
    store = FullStore()
    async with queue_desk(store=store) as desk:
        desk.handler("work")
        desk.trigger("t", "topic", "work")
        waits = desk.enqueue("default", "work", 0, delay_ms=1_000_000)
        await desk.settle()
        store.full = True
        calls: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
            (desk.enqueue, ("default", "work", 1), "enqueue_error"),
            (desk.publish, ("topic", 2), "publish_failed"),
            (desk.ask, ("iii::queue::pause", {"queue": "topic"}), "pause_failed"),
            (desk.ask, ("iii::queue::redrive", {"queue": "topic"}), "redrive_failed"),
            (
                desk.ask,
                ("iii::queue::redrive_message", {"queue": "topic", "message_id": "m"}),
                "redrive_message_failed",
            ),
            (
                desk.ask,
                ("iii::queue::discard_message", {"queue": "topic", "message_id": "m"}),
                "discard_message_failed",
            ),
            (
                desk.ask,
                ("iii::queue::cancel", {"queue": "default", "message_id": waits}),
                "cancel_failed",
            ),
        ]
        for call, arguments, code in calls:
            with pytest.raises(BusError, match="disk full") as refused:
                call(*arguments)
            assert refused.value.code == code
        store.full = False
        await desk.advance(2)
        assert desk.payloads("work") == []
        desk.publish("topic", 3)
        await desk.settle()
        assert desk.payloads("work") == [3]


async def test_ends_and_failures_of_jobs_are_written_when_it_is_possible_again() -> None:
    store = FullStore()
    async with queue_desk({"queue_configs": {"q": {"max_retries": 2}}}, store=store) as desk:
        calls = desk.handler("work", answer=None)
        for number in range(3):
            desk.enqueue("q", "work", number)
        await desk.settle()
        store.full = True
        calls[0].reply()
        calls[1].fail("broken", "once")
        await desk.advance(5)
        assert store.read(lambda t: t.count("queue/named/q/jobs")) == 3
        store.full = False
        await desk.advance(1)
        assert store.read(lambda t: t.count("queue/named/q/jobs")) == 1
        await desk.advance(1)
        assert desk.payloads("work") == [0, 1, 2, 1]
        calls[3].fail("broken", "for good")
        calls[2].reply()
        await desk.settle()
        assert desk.stats("q") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 1}


async def test_a_subscription_is_stored_with_the_first_job_for_it_at_the_latest() -> None:
    store = FullStore()
    async with queue_desk(store=store) as desk:
        store.full = True
        desk.trigger("t", "topic", "work")
        await desk.settle()
        store.full = False
        desk.publish("topic", 1)
    store.full = False
    async with queue_desk(store=store) as desk:
        desk.handler("work")
        desk.trigger("t", "topic", "work")
        await desk.settle()
        assert desk.payloads("work") == [1]


async def end_a_subscription_while_full(desk: QueueDesk, store: FullStore) -> None:
    """Of the function `seen`, for which a job waits."""
    desk.trigger("t", "topic", "seen")
    desk.ask("iii::queue::pause", {"queue": "topic"})
    desk.publish("topic", 1)
    await desk.settle()
    store.full = True
    desk.engine.triggers.remove("t")


async def test_what_waits_for_a_removed_subscription_dies_when_the_store_can_write_again() -> None:
    store = FullStore()
    async with queue_desk(store=store) as desk:
        await end_a_subscription_while_full(desk, store)
        await desk.advance(3)
        store.full = False
        await desk.advance(3)
        assert [dead["error"] for dead in desk.dead("topic")] == ["subscription removed"]
        assert desk.stats("topic")["waiting"] == 0


async def test_a_subscription_that_is_made_again_gets_what_is_published_then() -> None:
    """However late the end of the former one is written."""
    store = FullStore()
    async with queue_desk(store=store) as desk:
        desk.handler("seen")
        await end_a_subscription_while_full(desk, store)
        await desk.advance(1)
        desk.trigger("t", "topic", "seen")
        await desk.settle()
        store.full = False
        desk.publish("topic", 2)
        await desk.advance(5)
        assert desk.dead("topic") == []
        desk.ask("iii::queue::resume", {"queue": "topic"})
        await desk.settle()
        assert desk.payloads("seen") == [1, 2]


async def test_the_log_names_some_of_the_calls_that_a_store_refuses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def told() -> list[str]:
        return [each.message for each in caplog.records if each.name == "iii.modules"]

    store = FullStore()
    async with queue_desk(store=store) as desk:
        store.full = True
        for number in range(50):
            with pytest.raises(BusError, match="disk full"):
                desk.enqueue("default", "work", number)
        assert told() == ["work: disk full"] * 3
        await desk.advance(11)
        store.full = False
    assert told()[3:] == ["47 more calls failed with enqueue_error, as did work: disk full"]
