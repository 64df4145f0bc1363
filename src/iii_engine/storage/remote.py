"""A store behind a network, by optimistic transactions.

Works are pure functions over a `Transaction`. They run here, over what was fetched from the
server; then one request applies what they wrote, provided that what they read is unchanged. If it
is not, everything is fetched anew and the works run again. What one server has to bring for that
is a `Remote`: fetch and commit.

All works that come while one commit is under way share the next, in order, so a hot key costs no
conflicts within an engine, and the trip to the server is paid once for many.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from iii_engine.core.turns import Asker, Pieces
from iii_engine.net.contact import Contact, pause
from iii_engine.storage.base import ServerLost, StoreError, Transaction
from iii_engine.storage.buffer import Write
from iii_engine.storage.foreign import Sieve
from iii_engine.storage.goes import Checker, Go, Job, Part, look, run
from iii_engine.storage.pump import Pump
from iii_engine.storage.reads import Found, Read, Record

log = logging.getLogger("iii.storage")

T = TypeVar("T")
Done: TypeAlias = Callable[[T | None, BaseException | None], None]

#: Seconds that a call waits for a server that is away before it fails.
PATIENCE: Final = 5.0
#: Goes at a batch, at least, before other engines are said to change too much.
GOES: Final = 10
#: Rounds of fetching for one go; a work that reads what it has just read takes one each.
MAX_ROUNDS: Final = 300


class Remote(Protocol):
    """The server side of a store. Methods raise `ServerLost` when they may be tried again."""

    @property
    def name(self) -> str:
        """Which server, without a password: for messages."""
        ...

    @property
    def check(self) -> Checker | None:
        """Raises `BusError` for a work that this server cannot do whole: each record written is a
        commit of its own. None where one commit can span records.
        """
        ...

    async def open(self) -> None:
        """Raises `StoreError` when the server cannot be used."""
        ...

    async def close(self) -> None: ...

    async def greet(self) -> None:
        """Ask something small. Raises `StoreError` when the server cannot be used."""
        ...

    async def fetch(self, reads: Sequence[Read]) -> list[Found]: ...

    async def commit(self, token: str, reads: Mapping[Read, Found], writes: list[Write]) -> bool:
        """Write if what was read is unchanged; False when something is not.

        A commit with a token that was committed already is True and does nothing. Raises
        `StoreError` for what the server refuses; nothing was written then.
        """
        ...


class RemoteStore:
    """A `Store` over a `Remote`."""

    def __init__(self, remote: Remote, *, patience: float = PATIENCE) -> None:
        self._remote = remote
        self._patience = patience
        self._sieve = Sieve(remote.name)
        self._open = False
        self._contact = Contact(remote.greet)
        self._instance = uuid.uuid4().hex
        self._commits = count(1)
        self._writes: Pump[Job] = Pump(self._settle)
        self._queries: Pump[Job] = Pump(self._answer)

    @property
    def name(self) -> str:
        return self._remote.name

    @property
    def problem(self) -> str | None:
        """Why the server could not be used when it was asked last; None when it could."""
        return self._contact.problem

    async def open(self) -> None:
        """Raises `StoreError` that names the server."""
        await self._remote.open()
        self._contact.open()
        self._open = True

    async def close(self) -> None:
        """What was submitted is committed, or fails within the patience there is."""
        if self._open:
            self._open = False
            await self._contact.close()
            await self._writes.drained()
            await self._queries.drained()
            await self._remote.close()

    def write(self, work: Callable[[Transaction], T], done: Done[T]) -> None:
        """See `Store.write`."""
        self._submit(self._writes, work, done)

    def query(self, work: Callable[[Transaction], T], done: Done[T]) -> None:
        """See `Store.query`."""
        self._submit(self._queries, work, done)

    def browse(
        self,
        work: Callable[[Transaction], Pieces[T]],
        done: Done[T],
        asker: Asker | None = None,
    ) -> None:
        """See `Store.browse`. What was fetched is one moment; later queries wait meanwhile."""
        self._submit(self._queries, partial(begin, work, asker), done)

    def _submit(self, pump: Pump[Job], work: Callable[[Transaction], Any], done: Done[Any]) -> None:
        loop = asyncio.get_running_loop()
        problem = "the store is closed"
        if self._open:
            if pump.put(Job(work, done, loop.time() + self._patience)):
                return
            problem = f"too much waits for {self.name}"
        loop.call_soon(done, None, StoreError(problem))

    # -- queries ---------------------------------------------------------------------------------

    async def _answer(self, jobs: list[Job]) -> int:
        try:
            await self._query(jobs, jobs[0].deadline)
        except Exception as error:  # noqa: BLE001  (whoever asked gets it)
            for job in jobs:
                job.fail(error)
        _tell(job for job in jobs if not isinstance(job.result, Begun))
        for job in jobs:
            if isinstance(job.result, Begun):
                await _finish(job)
        return len(jobs)

    async def _query(self, jobs: list[Job], deadline: float) -> None:
        for number in count(1):
            found: dict[Read, Found] = {}
            rounds = 0
            while (go := look(jobs, found)).missing:
                rounds += 1
                await self._fetch(go, found, rounds, deadline)
            if rounds <= 1 or self._remote.check is not None:
                return  # what came with one request belongs together
            if await self._commit(Part(go.used, []), deadline):
                return
            await self._give_way(number, deadline)

    # -- writes ----------------------------------------------------------------------------------

    async def _settle(self, jobs: list[Job]) -> int:
        """Commit the works; where the server refuses that of several, of the first of them."""
        while True:
            try:
                await self._write(jobs, jobs[0].deadline)
            except Exception as error:  # noqa: BLE001  (whoever asked gets it)
                open_ = [job for job in jobs if not job.settled]
                if len(open_) > 1 and not isinstance(error, ServerLost):
                    # One of them is to blame, and the others shall not suffer for it.
                    jobs = jobs[: len(jobs) - (len(open_) + 1) // 2]
                    continue
                for job in open_:
                    job.fail(error)
            _tell(jobs)
            return len(jobs)

    async def _write(self, jobs: list[Job], deadline: float) -> None:
        """Settle all these works."""
        check = self._remote.check
        rest = [job for job in jobs if not job.settled]
        conflicts = 0
        while rest:
            found: dict[Read, Found] = {}
            rounds = 0
            while (go := run(rest, found, check)).missing:
                rounds += 1
                await self._fetch(go, found, rounds, deadline)
            ran = rest[: go.ran]
            if check is None:
                again = await self._commit_whole(go, ran, deadline)
            else:
                again = await self._commit_apart(go, ran, deadline)
            rest = again + rest[go.ran :]
            if again:
                conflicts += 1
                await self._give_way(conflicts, deadline)

    async def _commit_whole(self, go: Go, jobs: list[Job], deadline: float) -> list[Job]:
        """The works that must run again: all or none."""
        (part,) = go.whole()
        if not await self._commit(part, deadline):
            return jobs
        for job in jobs:
            job.settled = True
        return []

    async def _commit_apart(self, go: Go, jobs: list[Job], deadline: float) -> list[Job]:
        """The works that must run again: those on records that another engine has changed."""
        parts = go.by_record()
        outcomes = await asyncio.gather(
            *(self._commit(part, deadline) for part in parts), return_exceptions=True
        )
        changed: set[Record | None] = set()
        failed: dict[Record | None, BaseException] = {}
        for part, outcome in zip(parts, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                failed[part.record] = outcome
            elif not outcome:
                changed.add(part.record)
        again = []
        for job in jobs:
            problem = next((failed[record] for record in job.records if record in failed), None)
            if problem is not None:
                job.fail(problem)
            elif job.records & changed:
                again.append(job)
            else:
                job.settled = True
        return again

    # -- the server ------------------------------------------------------------------------------

    async def _fetch(self, go: Go, found: dict[Read, Found], rounds: int, deadline: float) -> None:
        """Add what was missing to `found`."""
        if rounds > MAX_ROUNDS:
            raise StoreError(f"a transaction reads too much, step by step, for {self.name}")

        def fetch() -> Awaitable[list[Found]]:
            return self._remote.fetch(go.missing)

        answers = await self._contact.insist(fetch, deadline)
        for read, answer in zip(go.missing, answers, strict=True):
            found[read] = await _in_turns(self._sieve.sift(read, answer))

    async def _commit(self, part: Part, deadline: float) -> bool:
        """False when something was changed by another. Trying again does nothing twice."""
        if not part.writes and len(part.reads) <= 1:
            return True
        token = f"{self._instance}:{next(self._commits)}"

        def commit() -> Awaitable[bool]:
            return self._remote.commit(token, part.reads, part.writes)

        try:
            return await self._contact.insist(commit, deadline)
        except ServerLost as error:
            if not part.writes:
                raise
            raise ServerLost(f"{error}; it is not known whether the change was made") from error

    async def _give_way(self, conflicts: int, deadline: float) -> None:
        """Let others finish. Raises `StoreError` when that was tried long enough."""
        if conflicts >= GOES and asyncio.get_running_loop().time() >= deadline:
            raise StoreError(f"others keep changing the same records of {self.name}")
        await pause(conflicts, at_most=0.05)


class Begun:
    """The result so far of a work that has more than one piece."""

    def __init__(self, pieces: Pieces[Any], asker: Asker | None) -> None:
        self.pieces = pieces
        self.asker = asker


def begin(
    work: Callable[[Transaction], Pieces[T]], asker: Asker | None, transaction: Transaction
) -> T | Begun:
    """Do the first piece, which names all that is read."""
    pieces = work(transaction)
    try:
        next(pieces)
    except StopIteration as end:
        result: T = end.value
        return result
    return Begun(pieces, asker)


async def _finish(job: Job) -> None:
    """Do the other pieces, and tell, if somebody waits."""
    begun: Begun = job.result
    try:
        job.result = await _in_turns(begun.pieces, begun.asker)
    except _Gone:
        return
    except Exception as error:  # noqa: BLE001  (whoever asked gets it)
        job.fail(error)
    _tell([job])


class _Gone(Exception):
    """Nobody waits any more."""


async def _in_turns(pieces: Pieces[T], asker: Asker | None = None) -> T:
    """The result of a work, one piece in each turn of the loop. Raises `_Gone`."""
    while True:
        if asker is not None and asker.answered:
            pieces.close()
            raise _Gone
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)


def _tell(jobs: Iterable[Job]) -> None:
    for job in jobs:
        try:
            job.done(job.result, job.error)
        except Exception:
            log.exception("a listener to the store failed")
