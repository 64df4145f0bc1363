"""The answers of several queues in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from iii_engine.modules.queue.broker import Done

Item = TypeVar("Item")
T = TypeVar("T")


def gather(
    items: Sequence[Item], ask: Callable[[Item, Done[T]], None], done: Done[list[T]]
) -> None:
    """Ask for each item; `done` gets the answers in the order of the items, or the first error."""
    answers: dict[int, T] = {}
    left = len(items)
    failed = False
    if not items:
        done([], None)

    def answered(index: int, answer: T | None, error: BaseException | None) -> None:
        nonlocal left, failed
        left -= 1
        if failed:
            return
        if error is not None or answer is None:
            failed = True
            done(None, error)
            return
        answers[index] = answer
        if left == 0:
            done([answers[each] for each in range(len(items))], None)

    for index, item in enumerate(items):
        ask(item, partial(answered, index))
