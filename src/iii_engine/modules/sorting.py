"""Sorting very much without sorting all of it in one go."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

#: Items that are sorted together.
RUN: Final = 1000


class Sorted(Generic[T]):
    """The first `wanted` (None: all) of what is added, in the order of `key`; `len` counts all.

    Equal ones stay in the order in which they were added.
    """

    def __init__(
        self, key: Callable[[T], Any], *, descending: bool = False, wanted: int | None = None
    ) -> None:
        self._key = key
        self._descending = descending
        self._wanted = wanted
        self._runs: list[list[T]] = []
        self._run: list[T] = []
        self._count = 0

    def add(self, item: T) -> None:
        self._count += 1
        self._run.append(item)
        if len(self._run) >= RUN:
            self._end_run()

    def _end_run(self) -> None:
        self._run.sort(key=self._key, reverse=self._descending)
        self._runs.append(self._run[: self._wanted])
        self._run = []

    def __len__(self) -> int:
        return self._count

    def page(self, offset: int = 0) -> Iterator[T | None]:
        """Those behind the first `offset`, with None where others may go on.

        Nothing can be added any more.
        """
        self._end_run()
        merged = heapq.merge(*self._runs, key=self._key, reverse=self._descending)
        for number, item in enumerate(islice(merged, self._wanted)):
            if number and number % RUN == 0:
                yield None
            if number >= offset:
                yield item


class Values:
    """Numbers, most of whose sorting is done while they come."""

    def __init__(self) -> None:
        self._sorted: list[float] = []
        self._run: list[float] = []

    def add(self, value: float) -> None:
        self._run.append(value)
        if len(self._run) >= RUN:
            self._end_run()

    def _end_run(self) -> None:
        self._run.sort()
        self._sorted += self._run
        self._run.clear()

    def ascending(self) -> list[float]:
        """All of them. What consists of runs is merged, which is a tenth of the work."""
        self._end_run()
        self._sorted.sort()
        return self._sorted
