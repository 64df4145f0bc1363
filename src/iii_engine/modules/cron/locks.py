"""Locks on ticks, so that each runs once however often its job is registered, and on runs."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from iii_engine.core.clock import Clock
from iii_engine.storage.base import LocalStore, Transaction

log = logging.getLogger("iii.cron")

#: Where the latest instants are of jobs that go on from there, in milliseconds, by job key.
RUNS = "cron/runs"

#: One that is older is forgotten at the next start: nobody registered the job for over a year.
RUN_DAYS = 400


class Locks(Protocol):
    """The locks of one module. A job key is the same on all engines, an owner is one engine."""

    ttl_ms: int

    @property
    def problem(self) -> str | None:
        """Why they could not be kept when that was tried last; None when they could."""
        ...

    def acquire(
        self, job: str, instant_ns: int, done: Callable[[bool], None], *, remember: bool = False
    ) -> None:
        """Take the lock of one tick; `done(False)` when another has it, or it cannot be known.

        It is never given back, but kept until its time is over: an engine whose clock is slow
        shall find it. `remember` also keeps the instant for `since`.
        """
        ...

    def renew(self, job: str, instant_ns: int) -> None:
        """The tick still runs. Does nothing when the lock is another owner's by now."""
        ...

    def begin(self, job: str, done: Callable[[bool], None]) -> None:
        """Take the lock of the job's run; `done(False)` when another engine runs it, or it cannot
        be known."""
        ...

    def keep(self, job: str) -> None:
        """The run is going on. Does nothing when the lock is another owner's by now."""
        ...

    def end(self, job: str) -> None:
        """Give the lock of the run back, if this owner has it."""
        ...

    def since(
        self, job: str, now_ns: int, oldest_ns: int, done: Callable[[int | None], None]
    ) -> None:
        """Tell the latest instant that was remembered, in nanoseconds, to the millisecond.

        When there is none, or it is before `oldest_ns`, `now_ns` is remembered and told: of
        engines that ask at the same moment all are told the same. None: it cannot be known.
        """
        ...

    async def open(self) -> None:
        """Raises `StoreError` when they cannot be kept."""
        ...

    async def close(self) -> None: ...


class Lock(Struct):
    """A lock as it is stored."""

    owner: str
    expires_at_ms: int


class StoreLocks:
    """Locks in the store of this engine, whose health is told elsewhere.

    Those of runs are none: of one engine a job knows itself whether it runs.
    """

    problem: Final = None

    def __init__(
        self, store: LocalStore, clock: Clock, owner: str, index: str, ttl_ms: int
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._space = f"cron/{index}"
        self._made: deque[tuple[int, str]] = deque()  # when each was made, and its key
        self.ttl_ms = ttl_ms

    async def open(self) -> None:
        """Remove what an earlier engine left behind."""
        now = self._now_ms()
        oldest = now - RUN_DAYS * 86_400_000

        def sweep(transaction: Transaction) -> None:
            for key, _ in list(transaction.items(self._space)):
                self._free(transaction, key, now)
            for job, run in list(transaction.items(RUNS)):
                if (_milliseconds(run) or 0) < oldest:
                    transaction.delete(RUNS, job)

        def kept(transaction: Transaction) -> int:
            return transaction.count(self._space) + transaction.count(RUNS)

        if self._store.read(kept):
            self._store.write(sweep, _report)

    async def close(self) -> None:
        """The store is the engine's."""

    def acquire(
        self, job: str, instant_ns: int, done: Callable[[bool], None], *, remember: bool = False
    ) -> None:
        now, key = self._now_ms(), key_of(job, instant_ns)
        old = self._old(now)

        def take(transaction: Transaction) -> bool:
            for other in old:
                self._free(transaction, other, now)
            held = _lock(transaction.get(self._space, key))
            if held is not None and held.expires_at_ms > now:
                return False
            lock = Lock(self._owner, now + self.ttl_ms)
            transaction.put(self._space, key, msgspec.json.encode(lock))
            if remember:
                transaction.put(RUNS, job, b"%d" % (instant_ns // 1_000_000))
            return True

        def taken(got: bool | None, error: BaseException | None) -> None:
            if got:
                self._made.append((now, key))
            _report(None, error)
            done(bool(got))

        self._store.write(take, taken)

    def renew(self, job: str, instant_ns: int) -> None:
        now, key = self._now_ms(), key_of(job, instant_ns)

        def prolong(transaction: Transaction) -> None:
            held = _lock(transaction.get(self._space, key))
            if held is None or held.owner == self._owner:
                lock = Lock(self._owner, now + self.ttl_ms)
                transaction.put(self._space, key, msgspec.json.encode(lock))

        self._store.write(prolong, _report)
        self._made.append((now, key))

    def begin(self, job: str, done: Callable[[bool], None]) -> None:
        done(True)

    def keep(self, job: str) -> None:
        """No other engine has it."""

    def end(self, job: str) -> None:
        """No other engine waits for it."""

    def since(
        self, job: str, now_ns: int, oldest_ns: int, done: Callable[[int | None], None]
    ) -> None:
        def look(transaction: Transaction) -> int:
            found = _milliseconds(transaction.get(RUNS, job))
            if found is None or found < oldest_ns // 1_000_000:
                found = now_ns // 1_000_000
                transaction.put(RUNS, job, b"%d" % found)
            return found

        def looked(found: int | None, error: BaseException | None) -> None:
            _report(None, error)
            done(None if found is None else found * 1_000_000)

        self._store.write(look, looked)

    def _old(self, now: int) -> list[str]:
        """Locks of this engine whose time may be over; they go with the next one."""
        old = []
        while self._made and self._made[0][0] + self.ttl_ms <= now:
            old.append(self._made.popleft()[1])
        return old

    def _free(self, transaction: Transaction, key: str, now: int) -> None:
        lock = _lock(transaction.get(self._space, key))
        if lock is None or lock.expires_at_ms <= now:
            transaction.delete(self._space, key)

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000


def key_of(job: str, instant_ns: int) -> str:
    """The lock of one tick."""
    return f"{job}:{instant_ns // 1_000_000}"


def _lock(record: bytes | None) -> Lock | None:
    """None for one that is not there, or that nobody could have written."""
    try:
        return None if record is None else msgspec.json.decode(record, type=Lock)
    except msgspec.DecodeError:
        return None


def _milliseconds(record: bytes | None) -> int | None:
    """None for one that is not there, or that nobody could have written."""
    try:
        return None if record is None else int(record)
    except ValueError:
        return None


def _report(_: None, error: BaseException | None) -> None:
    if error is not None:
        log.error("the locks of cron jobs cannot be kept: %s", error, exc_info=error)
