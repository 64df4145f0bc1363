"""What all workers together have not read yet, and what happens when that is too much."""

from __future__ import annotations

import logging
from typing import Final

from iii_engine.core.sessions import MIB, Session

log = logging.getLogger("iii.engine")

#: All outboxes together hold at most this much, in bytes, longer than a tick of the loop.
BACKLOG_BYTES: Final = 512 * MIB

#: A worker that is owed less than this keeps up; nobody counts it.
COUNTED_FROM: Final = 64 * 1024


class Backlog:
    """Bytes owed to the workers that do not keep up.

    The transport notes a session whenever it could not write everything. What a session was owed
    then may have been read since, so before anybody is closed all are asked again.
    """

    def __init__(self, bound: int = BACKLOG_BYTES) -> None:
        self.bound = bound
        self.total = 0
        self._owed: dict[Session, int] = {}

    def note(self, session: Session) -> None:
        """Count what this session is owed now."""
        owed = session.owed
        self.total += owed - self._owed.get(session, 0)
        if owed >= COUNTED_FROM:
            self._owed[session] = owed
            session.counted = True
        else:
            self.total -= owed
            self._owed.pop(session, None)
            session.counted = False

    def forget(self, session: Session) -> None:
        """The session is over."""
        self.total -= self._owed.pop(session, 0)
        session.counted = False

    def shed(self) -> None:
        """Close the sessions that are owed most until the rest is within the bound."""
        if self.total <= self.bound:
            return
        for session in list(self._owed):
            self.note(session)
        while self.total > self.bound:
            largest = max(self._owed, key=self._owed.__getitem__)
            log.warning(
                "workers have %d MiB to read; %s, which has most, is closed",
                self.total // MIB,
                largest.name,
            )
            self.forget(largest)
            largest.overflow()
