"""Dead records that are none: they are shown, stay where they are, and stop nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.queue_desk import QueueDesk, queue_desk

from iii_engine.core.clock import VirtualClock
from iii_engine.storage.base import Transaction
from iii_engine.storage.memory import MemoryStore
from iii_sdk.errors import BusError

DEAD = "queue/named/q/dead"


@pytest.fixture
async def desk() -> AsyncIterator[QueueDesk]:
    """Three dead jobs; what is stored of the first and the second cannot be read."""
    clock, store = VirtualClock(), MemoryStore()
    options = {"queue_configs": {"q": {"max_retries": 1}}}
    async with queue_desk(options, clock=clock, store=store) as desk:
        desk.failing("work", "no", "no", "no")
        for number in range(3):
            desk.enqueue("q", "work", number, message_id=f"m{number}")
        await desk.settle()

    def spoil(transaction: Transaction) -> None:
        transaction.put(DEAD, "m0", b"{")
        transaction.put(DEAD, "m1", b'{"job": 1}')

    store.write(spoil, lambda _, error: None)
    async with queue_desk(options, clock=clock, store=store) as desk:
        yield desk


async def test_the_others_run_again(desk: QueueDesk, caplog: pytest.LogCaptureFixture) -> None:
    desk.handler("work")
    answer = desk.ask("iii::queue::redrive", {"queue": "q"})
    assert answer == {"queue": "q", "redriven": 1}
    await desk.settle()
    assert desk.payloads("work") == [2]
    assert desk.stats("q")["dlq_depth"] == 2
    text = "queue q: 2 dead jobs cannot be read, and stay where they are: m0, m1"
    assert text in caplog.messages


async def test_they_are_shown_and_can_be_discarded(desk: QueueDesk) -> None:
    shown = desk.dead("q")
    assert [dead["id"] for dead in shown] == ["m2", "m1", "m0"]
    assert [dead["payload"] for dead in shown] == [2, '{"job": 1}', "{"]
    assert all(dead["error"].startswith("unreadable: ") for dead in shown[1:])
    message = {"queue": "q", "message_id": "m0"}
    assert desk.ask("iii::queue::status", message)["state"] == "dlq"
    with pytest.raises(BusError, match="m0 cannot be read, and stays where it is"):
        desk.ask("iii::queue::redrive_message", message)
    assert desk.ask("iii::queue::discard_message", message)["redriven"] == 1
    assert desk.stats("q")["dlq_depth"] == 2
