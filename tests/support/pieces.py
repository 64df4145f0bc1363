"""Works that are done a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from iii_engine.core.turns import Pieces

T = TypeVar("T")


def counted(pieces: Pieces[T]) -> tuple[T, int]:
    """The result of a work, and how many pieces it took."""
    number = 1
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value, number
        number += 1


def longest(items: Iterable[object | None]) -> int:
    """How many items there are between two Nones, at most."""
    most = now = 0
    for item in items:
        now = 0 if item is None else now + 1
        most = max(most, now)
    return most


class Loop:
    """What a loop would call soon: each `turn` calls what was asked for before it."""

    def __init__(self) -> None:
        self._asked: list[Callable[[], None]] = []

    def soon(self, step: Callable[[], None]) -> None:
        self._asked.append(step)

    def turn(self) -> bool:
        """Whether there was something to do."""
        asked, self._asked = self._asked, []
        for step in asked:
            step()
        return bool(asked)
