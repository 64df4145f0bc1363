"""What memory knows of a job that is stored: its place, not its payload."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from msgspec import Struct


class State(Enum):
    """`GONE` jobs are done, cancelled or moved; the store may not know it yet."""

    WAITING = "waiting"
    ACTIVE = "active"
    GONE = "gone"


#: Where a job stands among those that may run: delayed ones that are due come first.
Place: TypeAlias = tuple[int, str]


class Entry(Struct, eq=False, gc=False):
    """A job in memory.

    `key` is its key in the store: jobs are taken in the order of keys. `delayed` says in which of
    the two orders it is: keys of delayed jobs begin with the time they are due.
    Jobs without a group share the group ""; `lane` is the group that a job was counted in, and
    `place` where it stands there.
    `due_ms` keeps a job back that is first of its group until then, and its group, while it is
    `held`. `record` is the stored job, for as long as there is room to keep it here.
    """

    key: str
    group: str = ""
    delayed: bool = False
    due_ms: int = 0
    attempts: int = 0
    record: bytes | None = None
    state: State = State.WAITING
    held: bool = False
    lane: str = ""
    place: Place = (0, "")

    def __lt__(self, other: Entry) -> bool:
        """In the order of keys; one that is gone and its successor may have the same."""
        return self.key < other.key
