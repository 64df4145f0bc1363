"""The jobs of one queue that are at this engine, and in which order they may run."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.job import Job

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage


class Arrival:
    """A job that the server has given to this engine. `message` is None when it was taken back.

    That happens with the loss of the connection. The server gives the job out again, and when it
    comes back here, it is the same arrival.
    """

    __slots__ = ("due", "job", "message", "running")

    def __init__(self, job: Job, message: AbstractIncomingMessage) -> None:
        self.job = job
        self.message: AbstractIncomingMessage | None = message
        #: It is to run again, as soon as it has come back.
        self.due = False
        #: False while it waits, also for its next attempt.
        self.running = False


class Arrivals:
    """What has arrived `waits` in the order of the queue, then it is `out` until it has ended.

    With `ordered` limits one job of a group is out; a group waits for its job that failed.
    """

    def __init__(self) -> None:
        self.limits = Limits()
        self.waiting: deque[Arrival] = deque()
        self.out: set[Arrival] = set()

    def returned(self, job: Job, message: AbstractIncomingMessage) -> bool:
        """Whether this is a job that is out, and has come back after the server took it back."""
        for arrival in self.out if message.redelivered else ():
            if arrival.message is None and arrival.job.id == job.id:
                arrival.message = message
                if arrival.due:
                    self.again(arrival)
                return True
        return False

    def arrived(self, arrival: Arrival) -> None:
        self.waiting.append(arrival)

    def take(self, limit: int) -> list[Arrival]:
        """Those that may run now."""
        if not self.limits.ordered:
            taken = [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]
            return self.go(taken)
        busy = {self._group(arrival) for arrival in self.out}
        taken, left = [], deque[Arrival]()
        for arrival in self.waiting:
            group = self._group(arrival)
            if len(taken) < limit and group not in busy:
                taken.append(arrival)
                busy.add(group)
            else:
                left.append(arrival)
        self.waiting = left
        return self.go(taken)

    def go(self, taken: list[Arrival]) -> list[Arrival]:
        """They are out from now on."""
        for arrival in taken:
            arrival.running = True
            self.out.add(arrival)
        return taken

    @property
    def running(self) -> bool:
        """Whether a job runs here that the server knows to be here."""
        return any(arrival.running and arrival.message for arrival in self.out)

    def _group(self, arrival: Arrival) -> str:
        return "" if self.limits.single else arrival.job.group_id

    def again(self, arrival: Arrival) -> None:
        """Run it before the others, if it is here; else when it has come back."""
        arrival.running = False
        arrival.due = arrival.message is None
        if not arrival.due:
            self.out.discard(arrival)
            self.waiting.appendleft(arrival)

    def ended(self, arrival: Arrival) -> None:
        self.out.discard(arrival)

    def give_back(self) -> list[AbstractIncomingMessage]:
        """All that wait; they are somebody else's now."""
        found = [arrival.message for arrival in self.waiting if arrival.message is not None]
        self.waiting.clear()
        return found

    def lost(self) -> None:
        """The server gives everything out again."""
        self.waiting.clear()
        for arrival in self.out:
            arrival.message = None
