"""`iii.queue.depth` and `iii.queue.dlq`: how many jobs there are, by queue."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from iii_engine.core.meters import MAX_SERIES, Meters, Point
from iii_engine.modules.queue.job import QueueName, Stats
from iii_engine.modules.queue.queues import Queues


class Gauges:
    """A broker behind a network answers later: what is told is what it said last."""

    def __init__(self, queues: Queues, meters: Meters) -> None:
        self._queues = queues
        self._known: dict[QueueName, Stats] = {}
        self._observations = (
            meters.observe(
                "iii.queue.depth",
                self._depths,
                ("queue",),
                unit="{job}",
                description="Jobs that wait, run or are delayed",
            ),
            meters.observe(
                "iii.queue.dlq",
                self._dead,
                ("queue",),
                unit="{job}",
                description="Dead jobs",
            ),
        )

    def close(self) -> None:
        for observation in self._observations:
            observation.end()

    def _depths(self) -> Iterator[Point]:
        for name, found in self._ask():
            yield (name,), sum(stats.depth for stats in found)

    def _dead(self) -> Iterator[Point]:
        for name, found in self._ask():
            yield (name,), sum(stats.dead for stats in found)

    def _ask(self) -> Iterator[tuple[str, list[Stats]]]:
        for name, behind in self._queues.all_behind(MAX_SERIES).items():
            for queue in behind:
                self._queues.broker.stats(queue, partial(self._answered, queue))
            yield name, [self._known[queue] for queue in behind if queue in self._known]

    def _answered(self, queue: QueueName, stats: Stats | None, _: BaseException | None) -> None:
        if stats is not None:
            self._known[queue] = stats
