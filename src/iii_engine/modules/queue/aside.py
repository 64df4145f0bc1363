"""The jobs of one queue that wait for one function, whose worker is away."""

from __future__ import annotations

from iii_engine.core.queue_entry import Entry


class Aside:
    """In an ordered queue they are `held`, and their groups with them.

    In others any number of them is left in the store, where memory knows the first only: `skipped`
    has its key, by the order that it is in (whether `delayed`).
    """

    __slots__ = ("due", "held", "skipped")

    def __init__(self) -> None:
        self.held: list[Entry] = []
        self.skipped: dict[bool, str] = {}
        #: Delayed ones that are due and skipped; those that were cancelled since count too.
        self.due = 0

    def hold(self, entry: Entry, most: int) -> None:
        self.held.append(entry)
        if len(self.held) > most:  # most of them were cancelled
            self.held[:] = [each for each in self.held if each.held]

    def skip(self, entry: Entry) -> None:
        self.due += entry.delayed
        first = self.skipped.get(entry.delayed)
        if first is None or entry.key < first:
            self.skipped[entry.delayed] = entry.key
