"""The jobs of one queue that wait for functions whose workers are away."""

from __future__ import annotations

from iii_engine.core.queue_entry import Entry


class Aside:
    """Those of one function.

    Any number of them is left in the store, where memory knows the first only: `skipped` has its
    key, by the order that it is in (whether `delayed`). Some of an ordered queue are `held`, in
    memory.
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


class Blocked:
    """Groups of an ordered queue: the first job of each waits for a function, the others for it."""

    __slots__ = ("_functions", "_groups")

    def __init__(self) -> None:
        self._functions: dict[str, str] = {}  # by group
        self._groups: dict[str, str] = {}  # by the key of the first job

    def __len__(self) -> int:
        return len(self._functions)

    def function(self, group: str) -> str | None:
        """What the group waits for."""
        return self._functions.get(group)

    def add(self, first: Entry, function_id: str) -> None:
        self._functions[first.group] = function_id
        self._groups[first.key] = first.group

    def end(self, function_id: str) -> None:
        """It is back."""
        groups = {key: g for key, g in self._groups.items() if self._functions[g] != function_id}
        self._functions = {group: self._functions[group] for group in groups.values()}
        self._groups = groups

    def gone(self, key: str) -> str | None:
        """A job was cancelled: the function that its group waited for, if it was the first."""
        group = self._groups.pop(key, None)
        return None if group is None else self._functions.pop(group)
