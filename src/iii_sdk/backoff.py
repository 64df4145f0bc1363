"""How long to wait before connecting again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass
class Backoff:
    """1 s, 2 s, 4 s … at most 30 s, each ±30 %.

    A connection counts as good only after `stable` seconds: an engine that accepts and drops
    connections is not asked once a second for ever.
    """

    initial: float = 1.0
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.3
    stable: float = 5.0
    _failures: int = field(default=0, repr=False)

    def ended(self, lasted: float) -> None:
        """A connection lasted this many seconds."""
        if lasted >= self.stable:
            self._failures = 0

    def next(self) -> float:
        """Seconds to wait now."""
        base = min(self.initial * self.factor ** min(self._failures, 64), self.maximum)
        self._failures += 1
        return base * random.uniform(1 - self.jitter, 1 + self.jitter)
