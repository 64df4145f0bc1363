"""The memory that the stored jobs of all queues share: who finds none left reads them again."""

from __future__ import annotations

from typing import Final

#: Jobs of a queue that may wait in memory without need, when there are few queues.
WINDOW: Final = 1000

#: Windows that are looked through for a job that may run.
AHEAD: Final = 10

#: And when there are any number of them.
FEW: Final = 20


class Room:
    """Room for so many bytes of records, and for so many jobs of `queues` queues.

    `left` of those bytes are free: each line counts the records that it has.
    """

    def __init__(self, size: int, jobs: int) -> None:
        self.left = size
        self._jobs = jobs
        #: As many jobs of each queue are fetched together, and wait in memory without need.
        self.window = 0
        #: As many wait in memory when none of them may run, because their groups are busy.
        self.ahead = 0
        self.queues = 0

    @property
    def queues(self) -> int:
        """Those that share the room. Each job asks for the windows, so they are kept."""
        return self._queues

    @queues.setter
    def queues(self, number: int) -> None:
        self._queues = number
        self.window = max(FEW, min(WINDOW, self._jobs // max(1, number)))
        self.ahead = AHEAD * self.window
