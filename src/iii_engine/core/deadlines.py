"""When calls must be answered: a queue of coarse buckets, cheap to enter and to leave."""

from __future__ import annotations

import heapq
from typing import Final

#: Width of a bucket: a call ends at most this long after its deadline.
BUCKET_NS: Final = 20_000_000


class Deadlines:
    """Ids of calls by deadline. Nearly all leave before their time, so leaving costs nothing more
    than entering; a bucket that became empty is forgotten when it is the first."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[str, None]] = {}
        self._order: list[int] = []  # heap of the buckets' numbers

    def add(self, call_id: str, due_ns: int) -> None:
        number = due_ns // BUCKET_NS
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            heapq.heappush(self._order, number)
        bucket[call_id] = None

    def remove(self, call_id: str, due_ns: int) -> None:
        bucket = self._buckets.get(due_ns // BUCKET_NS)
        if bucket is not None:
            bucket.pop(call_id, None)

    def next_ns(self) -> int | None:
        """When the first bucket that holds a call is due."""
        while self._order:
            number = self._order[0]
            if self._buckets[number]:
                return (number + 1) * BUCKET_NS
            del self._buckets[heapq.heappop(self._order)]
        return None

    def take_due(self, now_ns: int) -> list[str]:
        """The ids whose time has come; they are forgotten here."""
        due: list[str] = []
        while self._order and (self._order[0] + 1) * BUCKET_NS <= now_ns:
            due += self._buckets.pop(heapq.heappop(self._order))
        return due
