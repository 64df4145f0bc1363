"""The consumers of a stream of jobs, at the server: which there are, and what they leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.jetstream.records import found_or_none
from iii_engine.net.nats_client import ANSWER_SECONDS, NatsConnection

if TYPE_CHECKING:
    from nats.js import JetStreamContext
    from nats.js.api import ConsumerInfo

#: Jobs of a `fifo` queue run one after another in each of so many lanes; a group is in one lane.
LANES: Final = 16
#: The consumer of queues without lanes.
ALL: Final = "all"
#: Seconds between looks whether jobs that run have ended.
LOOK_SECONDS: Final = 0.1


class Kind(Struct, frozen=True):
    """Whether a queue has `lanes`, and how many `pending` jobs of a consumer may run (-1: all)."""

    lanes: bool
    pending: int

    @classmethod
    def of(cls, limits: Limits) -> Kind:
        """With `ordered` limits, jobs come one after another in each lane."""
        return cls(limits.ordered and not limits.single, 1 if limits.ordered else -1)

    @property
    def names(self) -> list[str]:
        return [f"lane-{number}" for number in range(LANES)] if self.lanes else [ALL]


class Consumers:
    """Methods raise the errors of the NATS client, `StoreError` and `ServerLost`."""

    def __init__(self, connection: NatsConnection, stream: str, lease_s: float) -> None:
        self._connection = connection
        self._stream = stream
        self._lease_s = lease_s

    @property
    def _js(self) -> JetStreamContext:
        return self._connection.client.jetstream(timeout=ANSWER_SECONDS)

    async def all(self) -> list[ConsumerInfo]:
        return await self._connection.ask(self._js.consumers_info(self._stream))

    async def there(self) -> Kind | None:
        """The kind that an engine has made; None when there is none."""
        all = await self.all()
        if not all:
            return None
        return Kind(all[0].name != ALL, all[0].config.max_ack_pending or -1)

    async def make(self, kind: Kind) -> None:
        """All of this kind, as they should be."""
        for number, name in enumerate(kind.names):
            await self._make(name, f"{number if kind.lanes else '*'}.*", kind.pending)

    async def _make(self, name: str, filter_subject: str, pending: int) -> None:
        from nats.js.api import AckPolicy, ConsumerConfig

        await self._connection.ask(
            self._js.add_consumer(
                self._stream,
                ConsumerConfig(
                    durable_name=name,
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=self._lease_s,
                    max_deliver=-1,
                    max_ack_pending=pending,
                    filter_subject=f"{self._stream}.{filter_subject}",
                ),
            )
        )

    async def clear(
        self,
        kind: Kind,
        running: Callable[[], bool],
        others: Callable[[], Awaitable[bool]],
        wanted: Callable[[], bool],
    ) -> bool:
        """Delete those of the other kind, as soon as the jobs that they gave out have ended.

        A consumer knows which jobs are out, and without it they are given out again. `running`
        tells of those of this engine. Nobody tells of those of `others`, so they have the time of
        a lease. False when the kind is not `wanted` any more.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._lease_s
        while old := [info for info in await self.all() if info.name not in kind.names]:
            pending = any(info.num_ack_pending for info in old) and loop.time() < end
            if not running() and not (pending and await others()):
                for info in old:
                    await self._connection.ask(
                        found_or_none(self._js.delete_consumer, self._stream, info.name)
                    )
            else:
                await asyncio.sleep(LOOK_SECONDS)
            if not wanted():
                return False
        return True

    async def tidy(self, last: int) -> bool:
        """Remove jobs up to the one numbered `last` that were acknowledged; whether that was all.

        A NATS that is killed forgets deletions of the latest minutes, but not what it has given
        out: these jobs are there, and nobody gets them until their consumer is deleted. Who are
        they? Those before the oldest one that is still out.
        """
        tidied = True
        for info in await self.all():
            floor = info.ack_floor.stream_seq if info.ack_floor is not None else 0
            await self._delete_up_to(floor, info.config.filter_subject)
            tidied &= floor >= last or not (info.num_pending or info.num_ack_pending)
        return tidied

    async def _delete_up_to(self, floor: int, subject: str | None) -> None:
        """One by one: NATS 2.9 takes a purge for the end of all that is out, and would never give
        the others of these out again."""
        number = 1
        while number <= floor:
            asking = found_or_none(
                self._js.get_msg, self._stream, seq=number, subject=subject, next=True
            )
            found = await self._connection.ask(asking)
            if found is None or found.seq is None or found.seq > floor:
                return
            deleting = found_or_none(self._js.delete_msg, self._stream, found.seq)
            await self._connection.ask(deleting)
            number = found.seq + 1

    async def last(self) -> int:
        """The number of the newest job."""
        return (await self._connection.ask(self._js.stream_info(self._stream))).state.last_seq
