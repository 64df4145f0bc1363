"""The rest that the jobs of a topic take while their function, another engine's, is away."""

from __future__ import annotations

from collections.abc import Callable

from iii_engine.core.timers import Timer, Timers
from iii_engine.modules.queue.away import FIRST_MS, LONGEST_MS


class Rest:
    """Each is twice as long as the one before, from a quarter of a second to 16; `over` ends one.

    Without it as many jobs as may run at once would be given out and come back over and over.
    """

    def __init__(self, timers: Timers, over: Callable[[], None]) -> None:
        self._timers = timers
        self._over = over
        self._timer: Timer | None = None
        self._next_ms = FIRST_MS

    @property
    def lasts(self) -> bool:
        return self._timer is not None

    def begin(self) -> None:
        """The function is away; jobs that were given out with the first say so, too."""
        if self._timer is None:
            self._timer = self._timers.after(self._next_ms / 1000, self._end)
            self._next_ms = min(2 * self._next_ms, LONGEST_MS)

    def worked(self) -> None:
        """A job went well: the next absence is a new one."""
        if self._timer is None:
            self._next_ms = FIRST_MS

    def end(self) -> None:
        """The function may be back: its engine has subscribed anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next_ms = FIRST_MS

    def _end(self) -> None:
        self._timer = None
        self._over()
