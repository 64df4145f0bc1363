"""What memory knows of a job that is stored: its place, not its payload."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias


class State(Enum):
    """`GONE` jobs are done, cancelled or moved; the store may not know it yet."""

    WAITING = "waiting"
    ACTIVE = "active"
    GONE = "gone"


#: Where a job stands among those that may run: delayed ones that are due come first.
Place: TypeAlias = tuple[int, str]


class Entry:
    """A job in memory.

    `key` is its key in the store: jobs are taken in the order of keys. `delayed` says in which of
    the two orders it is: keys of delayed jobs begin with the time they are due.
    Jobs without a group share the group ""; `lane` is the group that a job was counted in.
    `due_ms` keeps a job back that is first of its group until then, and its group, while it is
    `held`. `record` is the stored job,
    for as long as there is room to keep it here.
    """

    __slots__ = (
        "attempts",
        "delayed",
        "due_ms",
        "group",
        "held",
        "key",
        "lane",
        "place",
        "record",
        "state",
    )

    def __init__(
        self,
        key: str,
        *,
        group: str = "",
        delayed: bool = False,
        due_ms: int = 0,
        attempts: int = 0,
        record: bytes | None = None,
    ) -> None:
        self.key = key
        self.group = self.lane = group
        self.delayed = delayed
        self.place: Place = (0 if delayed else 1, key)
        self.due_ms = due_ms
        self.attempts = attempts
        self.record = record
        self.state = State.WAITING
        self.held = False

    def __lt__(self, other: Entry) -> bool:
        """In the order of keys; one that is gone and its successor may have the same."""
        return self.key < other.key
