"""What waits to be sent: batches, bounds, an end that is bounded in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

import pytest
from tests.support.waiting import until

from iii_engine.modules.observability.export import pipeline as pipelines
from iii_engine.modules.observability.export.pipeline import Pipeline


class Sink:
    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.dropped = 0
        self.open = asyncio.Event()
        self.open.set()

    async def take(self, batch: Sequence[int]) -> None:
        await self.open.wait()
        self.batches.append(list(batch))

    def lost(self, count: int) -> None:
        self.dropped += count

    def pipeline(self, batch: int, interval: float = 60) -> Pipeline[int]:
        return Pipeline(self.take, self.lost, batch=batch, interval=interval)


async def test_a_full_batch_leaves_at_once_and_the_rest_at_the_end() -> None:
    sink = Sink()
    pipeline = sink.pipeline(3)
    pipeline.offer(range(7))
    await until(lambda: len(sink.batches) == 2)
    assert sink.batches == [[0, 1, 2], [3, 4, 5]]
    await pipeline.close(5)
    assert sink.batches == [[0, 1, 2], [3, 4, 5], [6]]
    assert sink.dropped == 0


async def test_a_small_batch_leaves_after_the_interval() -> None:
    sink = Sink()
    pipeline = sink.pipeline(100, 0.01)
    for number in range(2):
        pipeline.offer([number])
        await until(partial(sink.batches.count, [number]))
    await pipeline.close(5)
    assert sink.batches == [[0], [1]]


async def test_the_oldest_go_when_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "CAPACITY", 4)
    sink = Sink()
    pipeline = sink.pipeline(10)
    pipeline.offer(range(7))
    assert len(pipeline) == 4
    await pipeline.close(5)
    assert (sink.batches, sink.dropped) == ([[3, 4, 5, 6]], 3)


async def test_the_end_does_not_wait_for_a_sink_that_hangs() -> None:
    sink = Sink()
    sink.open.clear()
    pipeline = sink.pipeline(2)
    pipeline.offer(range(5))
    await pipeline.close(0.05)
    assert sink.batches == []
    assert sink.dropped == 5


async def test_closing_with_nothing_to_send_is_immediate() -> None:
    await Sink().pipeline(1).close(5)


async def test_a_sink_that_breaks_costs_its_batch_only(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[int] = []

    async def take(batch: Sequence[int]) -> None:
        if 0 in batch:
            raise RuntimeError("broken")
        taken.extend(batch)

    lost: list[int] = []
    pipeline = Pipeline(take, lost.append, batch=2, interval=60)
    with caplog.at_level(logging.ERROR):
        pipeline.offer(range(4))
        await pipeline.close(5)
    assert (taken, lost) == ([2, 3], [2])
    assert "could not be sent" in caplog.text
