"""What has to happen at a certain time, for the parts of the core that wait."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable
from itertools import count
from typing import Final

log = logging.getLogger("iii.timers")


#: Fewer timers are not worth a look for cancelled ones.
SWEEP_ABOVE: Final = 1024


class Timer:
    """Something that is due once. `cancel` may be called at any time."""

    __slots__ = ("_action", "due_ns")

    def __init__(self, due_ns: int, action: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self._action: Callable[[], None] | None = action

    @property
    def cancelled(self) -> bool:
        return self._action is None

    def cancel(self) -> None:
        self._action = None

    def fire(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


class Timers:
    """All timers of an engine, by the time they are due."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now = now_ns
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = count()
        self._most = SWEEP_ABOVE  # timers, before the cancelled ones among them go
        #: Called when something is due sooner than all there was before.
        self.on_sooner: Callable[[], None] = _ignore

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do `action` once, `seconds` from now."""
        timer = Timer(self._now() + int(seconds * 1e9), action)
        heapq.heappush(self._heap, (timer.due_ns, next(self._order), timer))
        if len(self._heap) > self._most:
            self._sweep()
        if self._heap[0][2] is timer:
            self.on_sooner()
        return timer

    def _sweep(self) -> None:
        """Most timers are cancelled long before they are due: do not keep those."""
        self._heap = [entry for entry in self._heap if not entry[2].cancelled]
        heapq.heapify(self._heap)
        self._most = max(SWEEP_ABOVE, 2 * len(self._heap))

    def next_deadline_ns(self) -> int | None:
        while self._heap and self._heap[0][2].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def advance(self) -> None:
        """Do what is due; what that adds for now waits for the next time."""
        now = self._now()
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        for timer in due:
            try:
                timer.fire()
            except Exception:
                log.exception("what was due at this time failed")


def _ignore() -> None:
    pass
