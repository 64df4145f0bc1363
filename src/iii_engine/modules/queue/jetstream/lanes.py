"""The lanes on which the jobs of one queue come to this engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING

from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.jetstream.consumers import Consumers, Kind
from iii_engine.modules.queue.jetstream.lane import Arrival, Lane
from iii_engine.modules.queue.jetstream.tries import Tries
from iii_engine.net.nats_client import NatsConnection
from iii_engine.storage.base import StoreError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger("iii.queue")


class Lanes:
    """Open while somebody wants jobs: while there is a `wake`, which is told that some came.

    Methods raise the errors of the NATS client, `StoreError` and `ServerLost`.
    """

    def __init__(
        self,
        connection: NatsConnection,
        stream: str,
        lease_s: float,
        tries: Tries,
        running: Callable[[], bool],
        others: Callable[[], Awaitable[bool]],
        gone: Callable[[], None],
    ) -> None:
        """`running` tells whether jobs of the queue run here, `others` whether there are other
        engines; `gone` is called when another one has deleted the consumers."""
        self.consumers = Consumers(connection, stream, lease_s)
        self.wake: Callable[[], None] | None = None
        self.all: list[Lane] = []
        self._connection = connection
        self._stream = stream
        self._tries = tries
        self._running = running
        self._others = others
        self._gone = gone
        self._kind: Kind | None = None  # of those that are open
        self._wanted: Kind | None = None
        self._tidy_to: int | None = None  # the job that was the newest, once that was looked up
        self._changing = asyncio.Lock()
        self._deliveries_count_from: float = inf

    async def reopen(self, limits: Limits) -> None:
        """Get jobs within these limits, if somebody wants jobs."""
        self._wanted = Kind.of(limits)
        async with self._changing:
            while self.wake is not None and self._kind != (kind := self._wanted):
                await self._close()
                self._tidy_to = None
                await self.tidy()
                if await self.consumers.clear(
                    kind,
                    self._running,
                    self._others,
                    lambda kind=kind: self.wake is not None and self._wanted == kind,  # type: ignore[misc]
                ):
                    await self.consumers.make(kind)
                    await self._open(kind)

    async def follow(self) -> None:
        """Use the consumers that another engine has made in place of those that were here."""
        async with self._changing:
            if self.wake is None or self._wanted is None:
                return
            kind = await self.consumers.there()
            if kind is None or kind == self._wanted:
                kind = self._wanted
                await self.consumers.make(kind)
            await self._close()
            self._tidy_to = None
            await self.tidy()
            await self._open(kind)
        if self.wake is not None:
            self.wake()

    async def _open(self, kind: Kind) -> None:
        self._kind = kind
        for name in kind.names:
            lane = Lane(
                self._connection.client,
                self._stream,
                name,
                self._look_up,
                self._arrived,
                self._gone,
            )
            await lane.open()
            self.all.append(lane)

    async def close(self) -> None:
        """Get no jobs any more, unless somebody wants some again."""
        async with self._changing:
            if self.wake is None:
                await self._close()

    async def _close(self) -> None:
        self._kind = None
        lanes, self.all = self.all, []
        for lane in lanes:
            await lane.close()

    # -- what may have changed meanwhile ---------------------------------------------------------

    def forget(self) -> None:
        """This engine has stood still: what has arrived may be others' by now."""
        for lane in self.all:
            lane.forget()

    async def ask_anew(self) -> None:
        """After `forget`."""
        async with self._changing:
            for lane in self.all:
                await lane.reopen()
        self._arrived()

    def reconnected(self) -> None:
        """The server may have been started anew."""
        self._tidy_to, self._deliveries_count_from = None, inf
        for lane in self.all:
            lane.forget_requests()

    @property
    def untidy(self) -> bool:
        """Whether there may be acknowledged jobs in the stream (see `Consumers.tidy`)."""
        return self._tidy_to != 0

    async def tidy(self) -> None:
        """Remove what was acknowledged, and find out of which jobs the count of deliveries tells
        whether there were some before: of those that came later than this."""
        if self._tidy_to is None:
            last = await self.consumers.last()
            self._deliveries_count_from = last if await self._tries.any(self._stream) else 0
            self._tidy_to = last
        if await self.consumers.tidy(self._tidy_to):
            self._tidy_to = 0

    # -- arrivals --------------------------------------------------------------------------------

    async def _look_up(self, message: Msg) -> Arrival | None:
        """What is known of earlier attempts; None when that cannot be told now."""
        arrival = Arrival(message, None)
        if message.metadata.num_delivered == 1 and arrival.number > self._deliveries_count_from:
            return arrival
        try:
            arrival.tried = await self._tries.get(self._stream, arrival.number)
        except StoreError as error:
            log.debug("queue: a job waits for the end of its lease: %s", error)
            return None
        return arrival

    def _arrived(self) -> None:
        if self.wake is not None:
            self.wake()

    def arrived(self, limit: int) -> list[Arrival]:
        """Up to so many jobs that have arrived."""
        return [
            lane.buffer.popleft()
            for lane in self.all
            for _ in range(len(lane.buffer))
            if (limit := limit - 1) >= 0
        ]

    async def want(self, count: int) -> None:
        """So many more could run."""
        for lane in list(self.all):
            await lane.want(count if len(self.all) == 1 else 1)
