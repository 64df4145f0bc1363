"""The answers of several queues in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

from iii_engine.modules.queue.broker import Done
from iii_engine.modules.queue.journal import Soon

Item = TypeVar("Item")
T = TypeVar("T")

#: Items that are asked for in one turn of the loop: a broker may answer within the question, and
#: may have to read a queue for that.
TOGETHER: Final = 100


def gather(
    items: Sequence[Item], ask: Callable[[Item, Done[T]], None], soon: Soon, done: Done[list[T]]
) -> None:
    """Ask for each item; `done` gets the answers in the order of the items, or the first error."""
    if items:
        _Gathering(items, ask, soon, done).go_on(0)
    else:
        done([], None)


class _Gathering(Generic[Item, T]):
    """Under way. Closures that know themselves would be left to the garbage collector."""

    __slots__ = ("_answers", "_ask", "_done", "_failed", "_items", "_soon")

    def __init__(
        self,
        items: Sequence[Item],
        ask: Callable[[Item, Done[T]], None],
        soon: Soon,
        done: Done[list[T]],
    ) -> None:
        self._items = items
        self._ask = ask
        self._soon = soon
        self._done = done
        self._answers: dict[int, T] = {}
        self._failed = False

    def go_on(self, start: int) -> None:
        end = start + TOGETHER
        if end < len(self._items):
            self._soon(partial(self.go_on, end))
        for index, item in enumerate(self._items[start:end], start):
            self._ask(item, partial(self._answered, index))

    def _answered(self, index: int, answer: T | None, error: BaseException | None) -> None:
        if self._failed:
            return
        if error is not None or answer is None:
            self._failed = True
            self._done(None, error)
            return
        answers = self._answers
        answers[index] = answer
        if len(answers) == len(self._items):
            self._done([answers[each] for each in range(len(answers))], None)
