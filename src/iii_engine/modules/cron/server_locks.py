"""Locks on a server that several engines share: what is the same for each kind of server."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from iii_engine.modules.cron.locks import key_of
from iii_engine.net.contact import Contact
from iii_engine.storage.base import ServerLost, StoreError

log = logging.getLogger("iii.cron")

T = TypeVar("T")

#: Seconds that a tick waits for a server that is away; then it does not run here.
PATIENCE: Final = 5.0


class ServerLocks(ABC):
    """See `Locks`. The server keeps the time, so the clocks of engines may differ."""

    def __init__(self, owner: str, ttl_ms: int) -> None:
        self.ttl_ms = ttl_ms
        self._owner = owner
        self._numbers = count(1)
        self._now = time.monotonic
        self._contact = Contact(self._greet)
        #: With what this engine took each lock, and when it was sure of it last, the oldest first.
        self._held: dict[str, tuple[str, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        #: Of those keys that somebody asks about.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def problem(self) -> str | None:
        """Why the server could not be used when it was asked last; None when it could."""
        return self._contact.problem

    async def open(self) -> None:
        """Raises `StoreError` that names the server."""
        self._contact.open()

    async def close(self) -> None:
        """Let what was asked for end."""
        await self._contact.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def acquire(
        self, job: str, instant_ns: int, done: Callable[[bool], None], *, remember: bool = False
    ) -> None:
        """See `Locks.acquire`."""
        remembered = instant_ns // 1_000_000 if remember else None
        self._acquire(key_of(job, instant_ns), job, remembered, done)

    def _acquire(
        self, key: str, job: str, remembered: int | None, done: Callable[[bool], None]
    ) -> None:
        token = f"{self._owner}:{next(self._numbers)}"

        def taken(got: bool | None) -> None:
            if got:
                self._hold(key, token)
            done(bool(got))

        self._do(key, lambda: self._take(key, token, job, remembered), taken)

    def renew(self, job: str, instant_ns: int) -> None:
        """See `Locks.renew`."""
        self._renew(key_of(job, instant_ns))

    def begin(self, job: str, done: Callable[[bool], None]) -> None:
        """See `Locks.begin`."""
        self._acquire(job, job, None, done)

    def keep(self, job: str) -> None:
        """See `Locks.keep`."""
        self._renew(job)

    def end(self, job: str) -> None:
        """See `Locks.end`."""

        async def release() -> None:
            if job in self._held:
                token, _ = self._held.pop(job)
                await self._release(job, token)

        self._do(job, release, _ignore)

    def _renew(self, key: str) -> None:
        if key in self._held:
            token, _ = self._held.pop(key)
            self._hold(key, token)
            self._do(key, lambda: self._prolong(key, token), _ignore)

    def _hold(self, key: str, token: str) -> None:
        """Know this lock, and forget those whose time is over."""
        now = self._now()
        for old, (_, since) in list(self._held.items()):
            if since + self.ttl_ms / 1000 > now:
                break
            del self._held[old]
        self._held[key] = token, now

    def since(
        self, job: str, now_ns: int, oldest_ns: int, done: Callable[[int | None], None]
    ) -> None:
        """See `Locks.since`."""

        def found(milliseconds: int | None) -> None:
            done(None if milliseconds is None else milliseconds * 1_000_000)

        now, oldest = now_ns // 1_000_000, oldest_ns // 1_000_000
        self._do(f"since {job}", lambda: self._since(job, now, oldest), found)

    def _do(
        self, key: str, ask: Callable[[], Awaitable[T]], done: Callable[[T | None], None]
    ) -> None:
        """What is asked of one lock happens in that order: one given back is not renewed after."""
        turn = self._turns.setdefault(key, asyncio.Lock())

        async def do() -> None:
            async with turn:
                await self._patiently(ask, done)

        task = asyncio.get_running_loop().create_task(do())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _patiently(
        self, ask: Callable[[], Awaitable[T]], done: Callable[[T | None], None]
    ) -> None:
        """None when there is no answer in time, or no sense in it."""
        answer: T | None = None
        try:
            deadline = asyncio.get_running_loop().time() + PATIENCE
            answer = await self._contact.insist(ask, deadline)
        except ServerLost as error:
            log.error("the locks of cron jobs cannot be reached: %s", error)
        except StoreError as error:
            log.error("the locks of cron jobs cannot be kept: %s", error)
        except Exception:
            log.exception("the locks of cron jobs cannot be understood")
        try:
            done(answer)
        except Exception:
            log.exception("a cron job failed")

    @abstractmethod
    async def _greet(self) -> None:
        """Ask something small. Raises `StoreError` when the server cannot be used."""

    @abstractmethod
    async def _take(self, key: str, token: str, job: str, remember_ms: int | None) -> bool:
        """Take a lock nobody has; taken again with the same token it is still taken."""

    @abstractmethod
    async def _prolong(self, key: str, token: str) -> None:
        """Begin its time anew, unless somebody else has it."""

    @abstractmethod
    async def _release(self, key: str, token: str) -> None:
        """Give it back, if it was taken with this token."""

    @abstractmethod
    async def _since(self, job: str, now_ms: int, oldest_ms: int) -> int:
        """See `Locks.since`, in milliseconds."""


def _ignore(_: object) -> None:
    """Nothing follows."""
