"""How many requests are in work at once, and who of those that wait is next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol


class Applicant(Protocol):
    """Waits for a place."""

    def start(self) -> None:
        """The place is there."""
        ...


class Admission:
    """Places for `limit` requests. Who gave a place away while its body was still on its way
    comes before those that have had none yet; within each kind the order is that of asking."""

    def __init__(self, limit: int, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self.limit = limit
        self.active = 0
        self._call_soon = call_soon
        self._returning: OrderedDict[Applicant, None] = OrderedDict()
        self._waiting: OrderedDict[Applicant, None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many have no place."""
        return len(self._returning) + len(self._waiting)

    def ask(self, applicant: Applicant, *, returns: bool = False) -> bool:
        """Start it, now (True) or when a place is free (False)."""
        if self.active < self.limit:
            self.active += 1
            applicant.start()
            return True
        queue = self._returning if returns else self._waiting
        queue[applicant] = None
        return False

    def withdraw(self, applicant: Applicant) -> None:
        """It needs no place any more; one that it has is given back with `free`."""
        self._returning.pop(applicant, None)
        self._waiting.pop(applicant, None)

    def free(self) -> None:
        """Give a place back: the next one may start, if the limit still allows."""
        queue = self._returning or self._waiting
        if queue and self.active <= self.limit:
            self._call_soon(queue.popitem(last=False)[0].start)
        else:
            self.active -= 1

    def resize(self, limit: int) -> None:
        self.limit = limit
        while self.active < limit and (queue := self._returning or self._waiting):
            self.active += 1
            self._call_soon(queue.popitem(last=False)[0].start)
