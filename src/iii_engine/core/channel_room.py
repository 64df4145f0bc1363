"""How much channels may hold together, and who waits when that is reached."""

from __future__ import annotations

from typing import Final, Protocol

from iii_engine.core.sizes import MIB

#: The channels that one worker made hold at most this much, in bytes.
OWNER_BYTES: Final = 64 * MIB
#: All channels of the engine.
ALL_BYTES: Final = 512 * MIB


class Member(Protocol):
    """A channel."""

    def regulate(self) -> None:
        """Pause or resume the writer, as the state of things demands."""
        ...


class Room:
    """Bytes that wait in some channels.

    From `bound` on the room is tight, and until half of it is free again: then only those writers
    are read whose frames go straight to a reader that keeps up.
    """

    __slots__ = ("bound", "held", "members", "tight")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.held = 0
        self.tight = False
        self.members: dict[Member, None] = {}

    def add(self, size: int) -> None:
        """So many bytes came; went, when it is negative."""
        self.held += size
        tight = self.held >= (self.bound // 2 if self.tight else self.bound)
        if tight is not self.tight:
            self.tight = tight
            for member in list(self.members):
                member.regulate()
