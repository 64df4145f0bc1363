"""Cancelling a job while something about it is being stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.storage.base import Transaction
from iii_engine.storage.memory import MemoryStore

T = TypeVar("T")


class SlowStore(MemoryStore):
    """While it is `busy`, what is written waits for `finish`."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = False
        self._waiting: list[Callable[[], None]] = []

    def write(
        self,
        work: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        if self.busy:
            self._waiting.append(lambda: super(SlowStore, self).write(work, done))
        else:
            super().write(work, done)

    def finish(self) -> None:
        self.busy = False
        for write in self._waiting:
            write()


def cancel(desk: QueueDesk, queue: str, job: str) -> object:
    return desk.ask("iii::queue::cancel", {"queue": queue, "message_id": job})["was"]


async def test_a_group_goes_on_when_its_first_is_cancelled_as_its_retry_is_stored() -> None:
    store = SlowStore()
    config = {"type": "fifo", "message_group_field": "g"}
    async with queue_desk({"queue_configs": {"q": config}}, store=store) as desk:
        calls = desk.handler("work", answer=None)
        first = desk.enqueue("q", "work", {"g": 1, "n": 1})
        desk.enqueue("q", "work", {"g": 1, "n": 2})
        await desk.settle()
        store.busy = True
        calls[0].fail("broken", "its retry is about to be stored")
        await desk.settle()
        answers: list[bool | None] = []
        name = desk.module.queues.behind("q")[0]
        desk.module.broker.cancel(name, first, lambda found, error: answers.append(found))
        store.finish()
        await desk.settle()
        assert answers == [True]
        assert [data["n"] for data in desk.payloads("work")] == [1, 2]


async def test_a_running_job_is_gone_from_the_store_when_its_cancel_is_answered() -> None:
    async with queue_desk() as desk:
        desk.handler("work", answer=None)
        job = desk.enqueue("default", "work")
        await desk.settle()
        assert cancel(desk, "default", job) == "active"
        assert desk.store.read(lambda t: t.spaces("queue/")) == []
        await desk.settle()
        assert desk.stats("default") == {"waiting": 0, "active": 0, "delayed": 0, "dlq_depth": 0}
