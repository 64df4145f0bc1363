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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from iii_engine.core.turns import Asker, Pieces
from iii_engine.net.contact import Contact, pause
from iii_engine.storage.base import ServerLost, StoreError, Transaction
from iii_engine.storage.buffer import Write
from iii_engine.storage.foreign import Sieve
from iii_engine.storage.goes import Checker, Go, Job, Part, look, run
from iii_engine.storage.listings import Listing, Listings, tell
from iii_engine.storage.pump import MAX_WAITING, Pump
from iii_engine.storage.reads import Found, Read, Record

log = logging.getLogger("iii.storage")

J = TypeVar("J", bound=Job)
T = TypeVar("T")
Done: TypeAlias = Callable[[T | None, BaseException | None], None]

#: Seconds that a call waits for a server that is away before it fails.
PATIENCE: Final = 5.0
#: Goes at a batch, at least, before other engines are said to change too much.
GOES: Final = 10
#: Works that may be long for which is fetched together.
LISTS: Final = 16
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
        self._lists: Pump[Listing] = Pump(self._begin)
        self._listings = Listings(self._list)

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
            await self._lists.drained()
            self._listings.end(StoreError("the store is closed"))
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
        """See `Store.browse`. What was fetched is one moment."""
        self._list(Listing(work, done, 0, asker))

    def _list(self, job: Listing) -> None:
        """Fetch for it, maybe once more."""
        loop = asyncio.get_running_loop()
        job.deadline = loop.time() + self._patience
        others = 0 if job.admitted else len(self._listings)
        problem = self._put(self._lists, job, others)
        if problem is not None:
            job.fail(problem)
            loop.call_soon(self._listings.take, job)

    def _submit(self, pump: Pump[Job], work: Callable[[Transaction], Any], done: Done[Any]) -> None:
        loop = asyncio.get_running_loop()
        problem = self._put(pump, Job(work, done, loop.time() + self._patience))
        if problem is not None:
            loop.call_soon(done, None, problem)

    def _put(self, pump: Pump[J], job: J, others: int = 0) -> StoreError | None:
        """Why it is refused. `others` wait beside those of the pump."""
        if not self._open:
            return StoreError("the store is closed")
        if others >= MAX_WAITING or not pump.put(job):
            return StoreError(f"too much waits for {self.name}")
        return None

    # -- queries ---------------------------------------------------------------------------------

    async def _answer(self, jobs: Sequence[Job]) -> int:
        await self._look(jobs)
        tell(jobs)
        return len(jobs)

    async def _begin(self, jobs: list[Listing]) -> int:
        """Only some of them, since what each fetches may be much."""
        batch = jobs[:LISTS]
        wanted = [job for job in batch if job.wanted]
        if wanted:
            await self._look(wanted)
        for job in batch:
            self._listings.take(job)
        return len(batch)

    async def _look(self, jobs: Sequence[Job]) -> None:
        """Settle them, with a result or an error."""
        try:
            await self._query(jobs, jobs[0].deadline)
        except Exception as error:  # noqa: BLE001  (whoever asked gets it)
            for job in jobs:
                job.fail(error)

    async def _query(self, jobs: Sequence[Job], deadline: float) -> None:
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
            tell(jobs)
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


async def _in_turns(pieces: Pieces[T]) -> T:
    """The result of a work, one piece in each turn of the loop."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)
