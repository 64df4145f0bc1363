"""Works that take long, a piece of one of them in each turn of the loop, so that calls go on.

Such a work is a generator: it yields where others may go on, and returns its result. It should
yield about every two milliseconds, by what it counts (items, bytes) and not by a clock, and must
not rest on anything that others may change meanwhile. What it looks at it copies first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

Pieces: TypeAlias = Generator[None, None, T]
Done: TypeAlias = Callable[[T | None, BaseException | None], None]


class Asker(Protocol):
    """A call that a work is for."""

    @property
    def answered(self) -> bool:
        """Nobody waits any more."""

    @property
    def caller_id(self) -> str | None: ...


#: Works that are begun at the same time. Each holds what it has so far.
AT_ONCE: Final = 4


class Row(Generic[T]):
    """What waits, of each caller one before any has a second."""

    def __init__(self) -> None:
        self._waiting: dict[str | None, deque[T]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, caller_id: str | None, item: T) -> None:
        self._waiting.setdefault(caller_id, deque()).append(item)
        self._count += 1

    def take(self) -> T | None:
        """The next; None when there is none."""
        if not self._count:
            return None
        self._count -= 1
        caller_id = next(iter(self._waiting))
        items = self._waiting.pop(caller_id)
        item = items.popleft()
        if items:
            self._waiting[caller_id] = items  # behind all others
        return item


class Turns:
    """Runs works: one piece of one of them in each turn of the loop, a few of them by turns.

    One that has a single piece is run at once. What waits has not begun, and so holds nothing but
    the question: it is begun anew when there is room, of each caller one before any has a second.
    What nobody waits for any more is dropped, and `done` is not called.
    `soon` calls a function in the next turn of the loop.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon
        self._running: _Work[Any] | None = None
        self._begun: deque[_Work[Any]] = deque()
        self._waiting: Row[_Work[Any]] = Row()
        self._due = False

    def run(
        self, begin: Callable[[], Pieces[T]], done: Done[T], asker: Asker | None = None
    ) -> None:
        """Call `done` once with what the work returns or raises; maybe before this returns.

        `begin` may be called twice.
        """
        work = _Work(begin, done, asker)
        if not work.go_on():
            self._add(work)

    def later(
        self, begin: Callable[[], Pieces[T]], done: Done[T], asker: Asker | None = None
    ) -> None:
        """As `run`, for what is known to take long: it has to wait for its turn."""
        self._add(_Work(begin, done, asker))

    def _add(self, work: _Work[Any]) -> None:
        if len(self._begun) + (self._running is not None) < AT_ONCE:
            self._begun.append(work)
        else:
            work.put_off()
            self._waiting.add(work.caller_id, work)
        self._go_on_later()

    def _go_on_later(self) -> None:
        if not self._due and self._begun:
            self._due = True
            self._soon(self._go_on)

    def _go_on(self) -> None:
        self._due = False
        if not self._begun:
            return
        work = self._running = self._begun.popleft()
        ended = True
        try:
            ended = work.go_on()
        finally:
            if not ended and self._running is work:
                self._begun.append(work)
            self._running = None
            self._fill()
            self._go_on_later()

    def _fill(self) -> None:
        while len(self._begun) < AT_ONCE and (work := self._waiting.take()) is not None:
            self._begun.append(work)

    def end(self, error: BaseException) -> None:
        """Fail everything under way."""
        works = list(self._begun)
        while (waiting := self._waiting.take()) is not None:
            works.append(waiting)
        if self._running is not None:
            works.insert(0, self._running)
        self._running = None
        self._begun.clear()
        for work in works:
            work.put_off()
            work.done(None, error)


class _Work(Generic[T]):
    __slots__ = ("_asker", "_begin", "_pieces", "done")

    def __init__(self, begin: Callable[[], Pieces[T]], done: Done[T], asker: Asker | None) -> None:
        self._begin = begin
        self._asker = asker
        self._pieces: Pieces[T] | None = None
        self.done = done

    @property
    def caller_id(self) -> str | None:
        return None if self._asker is None else self._asker.caller_id

    def go_on(self) -> bool:
        """Do one piece; whether that was the end."""
        if self._asker is not None and self._asker.answered:
            self.put_off()
            return True
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
