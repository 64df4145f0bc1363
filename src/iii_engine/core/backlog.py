"""What all peers together have not read yet, and what happens when that is too much."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from iii_engine.core.sizes import MIB

log = logging.getLogger("iii.engine")

#: All outboxes together hold at most this much, in bytes, longer than a tick of the loop.
BACKLOG_BYTES: Final = 512 * MIB

#: A peer that is owed less than this keeps up; nobody counts it.
COUNTED_FROM: Final = 64 * 1024


class Debtor(Protocol):
    """A peer that is sent to: the session of a worker, a subscriber of streams."""

    #: Written by the backlog: whether it owes that peer something.
    counted: bool

    @property
    def name(self) -> str: ...

    @property
    def owed(self) -> int:
        """Bytes that it has not read."""
        ...

    def overflow(self) -> None:
        """Forget what it is owed, and close."""
        ...


class Backlog:
    """Bytes owed to the peers that do not keep up.

    The transport notes a peer whenever it could not write everything. What a peer was owed
    then may have been read since, so before anybody is closed all are asked again.
    """

    def __init__(self, bound: int = BACKLOG_BYTES) -> None:
        self.bound = bound
        self.total = 0
        self._owed: dict[Debtor, int] = {}

    def note(self, peer: Debtor) -> None:
        """Count what this peer is owed now."""
        owed = peer.owed
        self.total += owed - self._owed.get(peer, 0)
        if owed >= COUNTED_FROM:
            self._owed[peer] = owed
            peer.counted = True
        else:
            self.total -= owed
            self._owed.pop(peer, None)
            peer.counted = False

    def forget(self, peer: Debtor) -> None:
        """The peer is gone."""
        self.total -= self._owed.pop(peer, 0)
        peer.counted = False

    def shed(self) -> None:
        """Close the peers that are owed most until the rest is within the bound."""
        if self.total <= self.bound:
            return
        for peer in list(self._owed):
            self.note(peer)
        while self.total > self.bound:
            largest = max(self._owed, key=self._owed.__getitem__)
            log.warning(
                "peers have %d MiB to read; %s, which has most, is closed",
                self.total // MIB,
                largest.name,
            )
            self.forget(largest)
            largest.overflow()
