"""How much of an ordered space of the store is in memory."""

from __future__ import annotations


class Part:
    """All stored jobs up to the key `horizon` are in memory, or all there are when it is None.

    `stored` counts all, `active` those that run, `loaded` those that wait in memory; no key that
    was loaded is greater than `last`.
    """

    __slots__ = ("active", "horizon", "last", "loaded", "stored")

    def __init__(self) -> None:
        self.horizon: str | None = None
        self.last = ""
        self.loaded = 0
        self.active = 0
        self.stored = 0

    def covers(self, key: str) -> bool:
        """Whether a job with this key must be in memory."""
        return self.horizon is None or key <= self.horizon
