"""A page of the dead jobs of several queues, newest first.

First it is found out which jobs those are, a piece of one queue at a time, and then they are read:
so no more than one piece of payloads is in memory, however many queues there are.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final, TypeAlias

from iii_engine.modules.queue.broker import Broker, Done
from iii_engine.modules.queue.gathering import gather
from iii_engine.modules.queue.job import DeadJob, QueueName
from iii_engine.modules.queue.journal import Soon
from iii_engine.modules.queue.reading import BYTES, RECORDS

#: Dead jobs of each queue that are sorted together.
MERGED: Final = 10_000

#: A piece of more bytes is enough for one tick of the loop, and so are that many queues: a broker
#: may answer within the question.
HEAVY: Final = BYTES // 4
QUEUES: Final = 50

#: When a job died (less is later), the number of its queue, and the size of its payload.
Mark: TypeAlias = tuple[int, int, int]


class DeadPage:
    """Answers `done` once, with the `limit` jobs behind `offset`; with fewer than that when their
    payloads are more than `BYTES`."""

    def __init__(
        self,
        broker: Broker,
        queues: Sequence[QueueName],
        offset: int,
        limit: int,
        soon: Soon,
        done: Done[list[DeadJob]],
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._offset = offset
        self._limit = limit
        self._soon = soon
        self._done = done
        self._marks: list[list[Mark]] = [[] for _ in queues]

    def read(self) -> None:
        if len(self._queues) == 1:
            self._broker.dead(self._queues[0], self._offset, self._limit, self._cut)
        else:
            self._look(0)

    def _look(self, index: int) -> None:
        """Mark the jobs of one queue after another."""
        if index == len(self._queues):
            self._fetch()
            return
        known = len(self._marks[index])
        wanted = min(self._offset + self._limit, MERGED) - known
        if wanted > 0:
            told = partial(self._mark, index)
            self._broker.dead(self._queues[index], known, min(wanted, RECORDS), told)
        else:
            self._look(index + 1)

    def _mark(self, index: int, found: list[DeadJob] | None, error: BaseException | None) -> None:
        if found is None:
            self._done(None, error)
            return
        marks = [(-dead.failed_at, index, len(dead.job.data)) for dead in found]
        self._marks[index] += marks
        following = index if found else index + 1
        after = partial(self._look, following)
        if following % QUEUES == QUEUES - 1 or sum(size for _, _, size in marks) > HEAVY:
            self._soon(after)
        else:
            after()

    def _fetch(self) -> None:
        """Of each queue, the page has jobs that follow each other."""
        newest = heapq.merge(*self._marks)
        before = Counter(index for _, index, _ in islice(newest, self._offset))
        order = [index for _, index, _ in fitting(islice(newest, self._limit))]
        chosen = Counter(order)

        def ask(index: int, done: Done[list[DeadJob]]) -> None:
            self._broker.dead(self._queues[index], before[index], chosen[index], done)

        def fetched(found: list[list[DeadJob]] | None, error: BaseException | None) -> None:
            if found is None:
                self._done(None, error)
            else:
                self._done(in_order(order, dict(zip(chosen, found, strict=True))), None)

        gather(list(chosen), ask, self._soon, fetched)

    def _cut(self, found: list[DeadJob] | None, error: BaseException | None) -> None:
        """Not every broker reads by bytes, but every answer ends with them."""
        if found is not None:
            marks = ((-dead.failed_at, 0, len(dead.job.data)) for dead in found)
            found = found[: sum(1 for _ in fitting(marks))]
        self._done(found, error)


def fitting(marks: Iterable[Mark]) -> Iterator[Mark]:
    """The first of them whose payloads are `BYTES` together at most, or one."""
    taken = 0
    for mark in marks:
        taken += mark[2]
        if taken > BYTES and taken > mark[2]:
            return
        yield mark


def in_order(order: Iterable[int], found: Mapping[int, Iterable[DeadJob]]) -> list[DeadJob]:
    """The jobs by the numbers of their queues, up to the first that was not found."""
    left = {index: iter(dead) for index, dead in found.items()}
    page: list[DeadJob] = []
    for index in order:
        dead = next(left[index], None)
        if dead is None:
            break
        page.append(dead)
    return page
