"""Works over what was fetched that take long: they go on while others are fetched for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from iii_engine.core.turns import AT_ONCE, Asker, Pieces, Row, Turns
from iii_engine.storage.base import Transaction
from iii_engine.storage.goes import Job
from iii_engine.storage.local import soon

log = logging.getLogger("iii.storage")


class Listing(Job):
    """A work of maybe several pieces. Once it was fetched for, `result` may be what is left."""

    __slots__ = ("admitted", "asker")

    def __init__(
        self,
        work: Callable[[Transaction], Pieces[Any]],
        done: Callable[[Any, BaseException | None], None],
        deadline: float,
        asker: Asker | None,
    ) -> None:
        super().__init__(partial(_begin, work), done, deadline)
        self.asker = asker
        #: It has one of the few places.
        self.admitted = False

    @property
    def wanted(self) -> bool:
        return self.asker is None or not self.asker.answered


class Listings:
    """Tells of works that were fetched for; the long ones go on, one piece in a turn of the loop.

    Few of them are under way, since each holds all that was fetched. The others let go of it and
    wait, of each caller one before any has a second; then they are fetched for anew, by `again`.
    """

    def __init__(self, again: Callable[[Listing], None]) -> None:
        self._again = again
        self._turns = Turns(soon)
        self._waiting: Row[Listing] = Row()
        self._admitted = 0

    def take(self, job: Listing) -> None:
        """It was fetched for, or failed."""
        begun = job.result
        if not isinstance(begun, _Begun):
            self._end(job)
        elif job.admitted or self._admitted < AT_ONCE:
            self._admit(job)
            self._turns.later(partial(_rest, begun.pieces, job), partial(self._ended, job))
        else:
            begun.pieces.close()
            job.result = None
            self._waiting.add(job.asker.caller_id if job.asker else None, job)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def end(self, error: BaseException) -> None:
        """Fail everything under way."""
        while (job := self._waiting.take()) is not None:
            job.fail(error)
            tell([job])
        self._turns.end(error)

    def _admit(self, job: Listing) -> None:
        if not job.admitted:
            job.admitted = True
            self._admitted += 1

    def _ended(self, job: Listing, result: object, error: BaseException | None) -> None:
        job.result, job.error = result, error
        self._end(job)

    def _end(self, job: Listing) -> None:
        if job.wanted:
            tell([job])
        if job.admitted:
            job.admitted = False
            self._admitted -= 1
            self._admit_another()

    def _admit_another(self) -> None:
        while (job := self._waiting.take()) is not None:
            if job.wanted:
                self._admit(job)
                self._again(job)
                return


class _Begun:
    """The result so far of a work that has more than one piece."""

    def __init__(self, pieces: Pieces[Any]) -> None:
        self.pieces = pieces


def _begin(work: Callable[[Transaction], Pieces[Any]], transaction: Transaction) -> object:
    """Do the first piece, which names all that is read."""
    pieces = work(transaction)
    try:
        next(pieces)
    except StopIteration as end:
        return end.value
    return _Begun(pieces)


def _rest(pieces: Pieces[Any], job: Listing) -> Pieces[Any]:
    """The other pieces, as long as somebody waits."""
    while job.wanted:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value
        yield
    pieces.close()
    return None


def tell(jobs: Iterable[Job]) -> None:
    """Say what became of them."""
    for job in jobs:
        try:
            job.done(job.result, job.error)
        except Exception:
            log.exception("a listener to the store failed")
