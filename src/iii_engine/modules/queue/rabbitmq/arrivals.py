"""The jobs of one queue that are at this engine, and in which order they may run."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.job import Job

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage


#: Jobs whose attempts are remembered while other engines have them.
REMEMBERED: Final = 1000


class Arrival:
    """A job that the server has given to this engine. `message` is None when it was taken back.

    That happens with the loss of the connection. The server gives the job out again, and when it
    comes back here, it is the same arrival.
    """

    __slots__ = ("due", "handed_back", "job", "message", "over", "running")

    def __init__(self, job: Job, message: AbstractIncomingMessage) -> None:
        self.job = job
        self.message: AbstractIncomingMessage | None = message
        #: How often it had been handed back when it ran last.
        self.handed_back = job.handed_back
        #: Its function has ended.
        self.over = False
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
        self._left: OrderedDict[str, Job] = OrderedDict()

    def returned(self, job: Job, message: AbstractIncomingMessage) -> bool:
        """Whether this is a job that is out, and has come back after the server took it back."""
        for arrival in self.out if message.redelivered else ():
            if arrival.message is None and arrival.job.id == job.id:
                arrival.message = message
                if arrival.due:
                    self.again(arrival)
                return True
        return False

    def recall(self, job: Job, message: AbstractIncomingMessage) -> None:
        """A job may have been here, and is not made anew for that."""
        known = self._left.pop(job.id, None) if message.redelivered else None
        if known is not None:
            job.attempts_made = max(job.attempts_made, known.attempts_made)
            job.handed_back, job.error = known.handed_back, known.error

    def arrived(self, arrival: Arrival) -> None:
        self.waiting.append(arrival)

    def take(self, limit: int) -> list[Arrival]:
        """Those that may run now."""
        if not self.limits.ordered:
            taken = [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]
            return self.go(taken)
        busy = {self._group(arrival) for arrival in self.out if arrival not in self._absent}
        taken, left = [], deque[Arrival]()
        for arrival in self.waiting:
            group = self._group(arrival)
            if len(taken) < limit and group not in busy:
                taken.append(arrival)
                busy.add(group)
            else:
                left.append(arrival)
        self.waiting = left
        groups = set(map(self._group, taken))
        self.out -= {arrival for arrival in self._absent if self._group(arrival) in groups}
        return self.go(taken)

    @property
    def _absent(self) -> set[Arrival]:
        """What another engine has if one behind it comes here: the server keeps the order."""
        return {each for each in self.out if each.message is None and (each.over or each.due)}

    def go(self, taken: list[Arrival]) -> list[Arrival]:
        """They are out from now on."""
        for arrival in taken:
            arrival.running, arrival.over = True, False
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
        if arrival not in self.out:
            return  # another engine has it
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

    def leave(self) -> None:
        """Other engines get everything that does not run."""
        for arrival in [each for each in self.out if not each.running]:
            self.out.discard(arrival)
            self._left[arrival.job.id] = arrival.job
        while len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        self.lost()

    def lost(self) -> None:
        """The server gives everything out again."""
        self.waiting.clear()
        for arrival in self.out:
            arrival.message = None
