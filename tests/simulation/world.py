"""Virtual time and one source of chance: everything in a simulation comes from its seed."""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

SECOND = 1_000_000_000


class Violation(AssertionError):
    """Something that must always hold did not."""


class World:
    """What is due happens in the order of its time, at equal times in the order of its making.

    It is the clock of the engine. `digest` is equal for equal histories.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = Random(seed)
        self.started_ns = 1_700_000_000 * SECOND
        self._now = self.started_ns
        self._due: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()
        self._digest = hashlib.sha256()
        self._recent: deque[str] = deque(maxlen=120)

    def now_ns(self) -> int:
        return self._now

    def monotonic_ns(self) -> int:
        return self._now

    def after(self, seconds: float, action: Callable[..., None], *arguments: Any) -> None:
        """Do it so many seconds from now."""
        self.at(self._now + int(seconds * SECOND), action, *arguments)

    def at(self, time_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        entry = (max(time_ns, self._now), next(self._order), action, arguments)
        heapq.heappush(self._due, entry)

    def run(self) -> None:
        """Until nothing is left to do."""
        while self._due:
            self._now, _, action, arguments = heapq.heappop(self._due)
            action(*arguments)

    def note(self, text: str) -> None:
        """Remember what happened."""
        line = f"{(self._now - self.started_ns) / SECOND:10.6f} {text}"
        self._digest.update(line.encode())
        self._recent.append(line)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def failed(self, problem: Exception) -> Violation:
        """The problem with the seed that shows it again, and what happened last."""
        history = "\n".join(self._recent)
        return Violation(f"{problem!r}\n\nafter\n{history}\n\nSIMULATION_SEED={self.seed}")
