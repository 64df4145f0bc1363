"""The leases of the jobs that run here: renewed while they run, and given up when they are lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from iii_engine.core.timers import Timer, Timers
from iii_engine.modules.queue.job import Lease, QueueName
from iii_engine.modules.queue.redis.asking import Argument, Asking
from iii_engine.modules.queue.redis.kept import RedisQueue
from iii_engine.modules.queue.redis.scripts import jobs
from iii_engine.storage.base import ServerLost, StoreError

log = logging.getLogger("iii.queue")


class Leases:
    """Renews them three times in the length of one."""

    def __init__(
        self,
        asking: Asking,
        timers: Timers,
        lease_ms: int,
        queues: Mapping[QueueName, RedisQueue],
        lost: Callable[[Lease], None],
    ) -> None:
        """`lost` is told of a lease that another engine has by now."""
        self._asking = asking
        self._timers = timers
        self._lease_ms = lease_ms
        self._queues = queues
        self._lost = lost
        self._timer: Timer | None = None
        #: Why the server refused to renew some when it was asked last; None when it did not.
        self.problem: str | None = None

    def open(self, each: Callable[[], None]) -> None:
        """`each` is called with every renewal."""
        self._timer = self._timers.after(self._lease_ms / 3000, partial(self._due, each))

    def close(self) -> None:
        """Renew nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _due(self, each: Callable[[], None]) -> None:
        self.open(each)
        self.renew()
        each()

    def renew(self) -> None:
        """Keep what runs here."""
        for queue in self._queues.values():
            if queue.leases:
                arguments = [self._lease_ms, *pairs(queue.leases.values())]
                self._asking.ask(jobs.RENEW, [queue.base], arguments, partial(self._renewed, queue))

    def _renewed(self, queue: RedisQueue, lost: Any, error: StoreError | None) -> None:
        if error is None:
            self.problem = None
            for token in lost:
                lease = queue.leases.pop(int(token), None)
                if lease is not None:
                    self._lost(lease)
        elif isinstance(error, ServerLost):
            log.debug("queue: %s", error)  # said elsewhere, and asked again in a while
        else:
            if self.problem is None:
                log.warning("queue: leases of jobs are not renewed: %s", error)
            self.problem = str(error)


def pairs(leases: Iterable[Lease]) -> list[Argument]:
    """Id and token of each, as scripts take them."""
    return [part for lease in leases for part in (lease.job.id, lease.token)]
