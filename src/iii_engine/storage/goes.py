"""One go of works over what was fetched: what they answer, and what it takes to make it true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from iii_engine.storage.base import Transaction
from iii_engine.storage.buffer import Buffer, Write
from iii_engine.storage.reads import Count, Found, Item, Read, Record, Traced, View
from iii_sdk.errors import BusError

#: Bytes that one go may want to write, except that every go takes one work at least.
MAX_BYTES: Final = 8 * 1024 * 1024


class Job:
    """A work that was submitted. It is settled once `result` or `error` will not change any more.

    `deadline` is in seconds of the event loop: when to give up on a server that is away.
    """

    __slots__ = ("deadline", "done", "error", "records", "result", "settled", "work")

    def __init__(
        self,
        work: Callable[[Transaction], Any],
        done: Callable[[Any, BaseException | None], None],
        deadline: float,
    ) -> None:
        self.work = work
        self.done = done
        self.deadline = deadline
        self.result: Any = None
        self.error: BaseException | None = None
        self.settled = False
        #: What it read or wrote, where each record is committed by itself.
        self.records: set[Record] = set()

    def run(self, transaction: Transaction, after: Callable[[], None] | None = None) -> bool:
        """Whether the work had a result. `after` is part of the work."""
        self.result = self.error = None
        try:
            self.result = self.work(transaction)
            if after is not None:
                after()
        except Exception as error:  # noqa: BLE001  (it is the caller's, who gets it)
            self.error = error
        return self.error is None

    def fail(self, error: BaseException) -> None:
        self.result, self.error, self.settled = None, error, True


class Part:
    """What is committed together. `record` is set where that is one record only."""

    def __init__(
        self, reads: Mapping[Read, Found], writes: list[Write], record: Record | None = None
    ) -> None:
        self.reads = reads
        self.writes = writes
        self.record = record


class Checker(Protocol):
    """Refuses works that cannot be committed whole."""

    def __call__(self, reads: set[Read], writes: list[Write]) -> None:
        """Raises `BusError`."""
        ...


class Go:
    """What came of one go. With `missing` reads nothing else of it counts.

    `ran` works of those that were given did run; the others did not fit.
    """

    def __init__(self, view: View, writes: list[Write], ran: int) -> None:
        self.missing = list(view.missing)
        self.used = view.used
        self.writes = compact(writes)
        self.ran = ran

    def whole(self) -> list[Part]:
        """All that was read and written, to be committed as one."""
        return [Part(self.used, self.writes)]

    def by_record(self) -> list[Part]:
        """The writes of each record apart, with what was read of it."""
        parts: dict[Record, list[Write]] = {}
        for write in self.writes:
            parts.setdefault(write[:2], []).append(write)
        return [Part(self._reads_of(record), parts[record], record) for record in parts]

    def _reads_of(self, record: Record) -> dict[Read, Found]:
        space, key = record
        read = Count(space) if key is None else Item(space, key)
        return {read: self.used[read]} if read in self.used else {}


def look(jobs: Sequence[Job], found: Mapping[Read, Found]) -> Go:
    """Run works that only read."""
    view = View(found)
    for job in jobs:
        job.run(view)
    return Go(view, [], len(jobs))


def run(jobs: Sequence[Job], found: Mapping[Read, Found], check: Checker | None) -> Go:
    """Run works that write, each over what those before it wrote.

    With `check` each record is committed by itself: works are traced, and those that it refuses
    fail. Such a go ends before a work on a whole space that others of the go have touched.
    """
    view = View(found)
    base = Buffer(view)
    size = ran = 0
    for job in jobs:
        if size > MAX_BYTES:
            break
        if check is None:
            own = Buffer(base)
            worked = job.run(own)
        else:
            traced = Traced(base)
            own = Buffer(traced)
            worked = job.run(own, partial(_read_what_is_written, traced, own))
            job.records = traced.records | {write[:2] for write in own.writes}
            if ran and _tangled(job, base.writes):
                break
            if worked and not view.missing:
                worked = _allowed(job, check, traced.reads, own.writes)
        ran += 1
        if worked:
            size += _apply(base, own.writes)
    return Go(view, base.writes, ran)


def _allowed(job: Job, check: Checker, reads: set[Read], writes: list[Write]) -> bool:
    try:
        check(reads, writes)
    except BusError as error:
        job.result, job.error = None, error
        return False
    return True


def _tangled(job: Job, writes: list[Write]) -> bool:
    """Whether the work and what was written before meet in a whole space."""
    spaces = {space for space, key in job.records if key is None}
    emptied = {space for space, key, _ in writes if key is None}
    if not spaces and not emptied:
        return False
    return any(space in emptied for space, _ in job.records) or any(w[0] in spaces for w in writes)


def _read_what_is_written(transaction: Transaction, own: Buffer) -> None:
    """So that the commit of a record knows what it replaces."""
    for space, key, _ in own.writes:
        if key is not None:
            transaction.get(space, key)


def _apply(base: Buffer, writes: list[Write]) -> int:
    """Make the changes of one work visible to the next ones; how many bytes they are."""
    size = 0
    for space, key, value in writes:
        if key is None:
            base.delete_space(space)
        elif value is None:
            base.delete(space, key)
        else:
            base.put(space, key, value)
            size += len(value)
    return size


def compact(writes: list[Write]) -> list[Write]:
    """The same changes without the values that are replaced at once."""
    kept: list[Write] = []
    latest: dict[tuple[str, str], int] = {}
    for write in writes:
        space, key, value = write
        if key is None:
            latest = {name: at for name, at in latest.items() if name[0] != space}
        elif value is None:
            latest.pop((space, key), None)
        elif (at := latest.get((space, key))) is not None:
            kept[at] = write
            continue
        else:
            latest[space, key] = len(kept)
        kept.append(write)
    return kept
