"""What all peers together have sent of messages that are not complete, and when it is too much."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from iii_engine.core.sizes import MIB

log = logging.getLogger("iii.net")

#: Fragments and frames that wait for the rest of their messages hold at most this much, in bytes.
UNFINISHED_BYTES: Final = 256 * MIB


class Sender(Protocol):
    """A connection that a message comes on."""

    def send_away(self, code: int, reason: str) -> None:
        """Close it, and free what it has sent."""
        ...


class Unfinished:
    """Each peer may send a message of the largest size; not all of them at the same time."""

    def __init__(self, bound: int = UNFINISHED_BYTES) -> None:
        self.bound = bound
        self.total = 0
        self._sizes: dict[Sender, int] = {}

    def note(self, peer: Sender, size: int) -> None:
        """The peer has sent so much of a message; 0 when it is complete, or given up."""
        self.total += size - self._sizes.pop(peer, 0)
        if size:
            self._sizes[peer] = size
        while self.total > self.bound:
            self._shed()

    def _shed(self) -> None:
        """Close the peer with the most."""
        largest = max(self._sizes, key=self._sizes.__getitem__)
        log.warning(
            "peers are sending %d MiB of messages; the one with the largest part is closed",
            self.total // MIB,
        )
        self.total -= self._sizes.pop(largest)
        largest.send_away(1013, "too much is being received")
