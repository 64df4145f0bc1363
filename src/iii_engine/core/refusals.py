"""How long a refused connection waits for its refusal.

Clients of the 0.11 generation come back about every second for ever, because the upgrade before
the refusal resets their back-off. Waiting here is what slows them down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: Seconds before the first, second… refusal of one address; the last one repeats.
DELAYS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 10.0)

#: Seconds without an attempt after which an address is forgotten.
FORGET_SECONDS: Final = 60

#: Addresses that are remembered; the one that is quiet for longest goes first.
MAX_ADDRESSES: Final = 10_000


class Refusals:
    """Refused attempts by source address."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now = now_ns
        self._seen: dict[str, tuple[int, int]] = {}  # address → attempts, time; oldest first

    def delay(self, address: str) -> float:
        """Count one refused attempt; the seconds before it is told."""
        now = self._now()
        attempts, last = self._seen.pop(address, (0, now))
        if now - last >= FORGET_SECONDS * 1_000_000_000:
            attempts = 0
        elif len(self._seen) >= MAX_ADDRESSES:
            del self._seen[next(iter(self._seen))]
        self._seen[address] = (attempts + 1, now)
        return DELAYS[min(attempts, len(DELAYS) - 1)]
