"""Engines that take from one queue: who cannot run its jobs lets others go first."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.queue_desk import QueueDesk

from iii_engine.modules.queue.consumer import SHY_SECONDS
from iii_engine.modules.queue.embedded import EmbeddedBroker


async def test_who_gave_a_job_back_takes_the_next_ones_later_than_others(
    desk: QueueDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmbeddedBroker, "shared", True)
    taken: list[int] = []
    take = EmbeddedBroker.take

    def note(broker: EmbeddedBroker, *arguments: Any) -> None:
        taken.append(desk.clock.monotonic_ns())
        take(broker, *arguments)

    monkeypatch.setattr(EmbeddedBroker, "take", note)
    desk.enqueue("default", "of.another.engine")
    await desk.settle()
    assert len(taken) >= 1
    taken.clear()
    began = desk.clock.monotonic_ns()
    desk.enqueue("default", "of.another.engine")
    await desk.advance(0.1)
    assert taken
    assert taken[0] - began >= SHY_SECONDS * 1e9
