"""The jobs that one engine has from JetStream now, and until when it may think so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain

from iii_engine.modules.queue.jetstream.lane import Arrival
from iii_engine.modules.queue.job import Lease, QueueName


class Leases:
    """`held` are those of jobs that run, `ending` those whose end is being told to the server."""

    def __init__(self, lease_s: float) -> None:
        self.held: set[Lease] = set()
        self.ending: set[Lease] = set()
        #: When they were renewed, by the clock of the loop.
        self.renewed = 0.0
        self._lease_s = lease_s

    def begin(self) -> None:
        """From now on they are renewed in time, unless they `stood_still`."""
        self.renewed = asyncio.get_running_loop().time()

    @property
    def stood_still(self) -> bool:
        """Whether leases may have ended since they were renewed: the engine was frozen."""
        return asyncio.get_running_loop().time() - self.renewed > self._lease_s

    async def wait(self) -> bool:
        """Until they are to be renewed; whether the engine was frozen for longer than a lease."""
        begin = asyncio.get_running_loop().time()
        await asyncio.sleep(self._lease_s / 3)
        return asyncio.get_running_loop().time() - begin > self._lease_s

    def give_up(self) -> set[Lease]:
        """Others may have these jobs."""
        lost, self.held = self.held, set()
        return lost

    def arrivals(self) -> Iterator[Arrival]:
        return map(arrival_of, chain(self.held, self.ending))

    def end(self, lease: Lease) -> Arrival:
        """Its end is decided."""
        self.held.discard(lease)
        return arrival_of(lease)

    def running(self, queue: QueueName) -> set[int]:
        """The numbers of the jobs of a queue."""
        all: Iterable[Lease] = chain(self.held, self.ending)
        return {arrival_of(lease).number for lease in all if lease.queue == queue}

    def has(self, queue: QueueName, message_id: str) -> bool:
        return any(each.queue == queue and each.job.id == message_id for each in self.held)


def arrival_of(lease: Lease) -> Arrival:
    arrival: Arrival = lease.handle  # type: ignore[assignment]
    return arrival
