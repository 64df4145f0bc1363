"""Works that take long, a piece of one of them in each turn of the loop, so that calls go on.

Such a work is a generator: it yields where others may go on, and returns its result. It should
yield about every two milliseconds, by what it counts (items, bytes) and not by a clock, and must
not rest on anything that others may change meanwhile. What it looks at it copies first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")

Pieces: TypeAlias = Generator[None, None, T]
Done: TypeAlias = Callable[[T | None, BaseException | None], None]


class Turns:
    """Runs works one after another; one that has a single piece is run at once.

    What waits has not begun, and so holds nothing but the question: it is begun anew in its turn.
    `soon` calls a function in the next turn of the loop.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon
        self._current: _Work[Any] | None = None
        self._waiting: deque[_Work[Any]] = deque()

    def run(self, begin: Callable[[], Pieces[T]], done: Done[T]) -> None:
        """Call `done` once with what the work returns or raises; maybe before this returns.

        `begin` may be called twice.
        """
        work = _Work(begin, done)
        if work.go_on():
            return
        if self._current is not None:
            work.put_off()
        self._add(work)

    def later(self, begin: Callable[[], Pieces[T]], done: Done[T]) -> None:
        """As `run`, for what is known to take long: it has to wait for its turn."""
        self._add(_Work(begin, done))

    def _add(self, work: _Work[Any]) -> None:
        if self._current is not None:
            self._waiting.append(work)
            return
        self._current = work
        self._soon(self._go_on)

    def _go_on(self) -> None:
        work, ended = self._current, True
        if work is None:
            return
        try:
            ended = work.go_on()
        finally:
            if ended and self._current is work:
                self._current = self._waiting.popleft() if self._waiting else None
            if self._current is not None:
                self._soon(self._go_on)

    def end(self, error: BaseException) -> None:
        """Fail everything under way."""
        works = [self._current, *self._waiting]
        self._current = None
        self._waiting.clear()
        for work in works:
            if work is not None:
                work.put_off()
                work.done(None, error)


class _Work(Generic[T]):
    __slots__ = ("_begin", "_pieces", "done")

    def __init__(self, begin: Callable[[], Pieces[T]], done: Done[T]) -> None:
        self._begin = begin
        self._pieces: Pieces[T] | None = None
        self.done = done

    def go_on(self) -> bool:
        """Do one piece; whether that was the end."""
        try:
            if self._pieces is None:
                self._pieces = self._begin()
            next(self._pieces)
        except StopIteration as end:
            self.done(end.value, None)
        except Exception as error:  # noqa: BLE001  (it is the caller's, who gets it)
            self.done(None, error)
        else:
            return False
        return True

    def put_off(self) -> None:
        """Let go of what it has so far."""
        if self._pieces is not None:
            self._pieces.close()
            self._pieces = None


def at_once(pieces: Pieces[T]) -> T:
    """The result of a work, all pieces of it now."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result
