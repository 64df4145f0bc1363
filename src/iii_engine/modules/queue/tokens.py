"""Fencing tokens of the embedded broker: whoever holds a job later has a greater one."""

from __future__ import annotations

from typing import Final

from iii_engine.modules.queue.journal import Journal
from iii_engine.storage.base import LocalStore, Transaction

SPACE: Final = "queue_tokens"
KEY: Final = "below"

#: So many are given out before the store is told again.
BLOCK: Final = 10_000_000


class Tokens:
    """The store knows a number that none has reached: an engine that starts begins there.

    The clock alone would not do, since it may have been set back. Where it was not, tokens begin
    with its microseconds, so that they grow also when the store is a new one.
    """

    def __init__(self, store: LocalStore, journal: Journal, block: int = BLOCK) -> None:
        self._block = block
        self._store = store
        self._journal = journal
        self._next = 0
        self._below = 0  # what the store is told

    def open(self, now_ms: int) -> None:
        """Begin; the store is told with the first commit."""
        stored = self._store.read(lambda t: t.get(SPACE, KEY))
        self._next = max(now_ms * 1000, int(stored or 0))
        self._below = self._next + self._block
        self._journal.add(self._tell, _nothing)

    def make(self) -> int:
        token = self._next
        self._next += 1
        if token > self._below - self._block // 2:
            self._below += self._block
            self._journal.add(self._tell, _nothing)
        return token

    def _tell(self, transaction: Transaction) -> None:
        transaction.put(SPACE, KEY, b"%d" % self._below)


def _nothing() -> None:
    pass
