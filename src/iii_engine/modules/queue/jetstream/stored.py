"""One stream of JetStream, whose subjects end with the ids of what is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from iii_engine.modules.queue.jetstream.records import found_or_none
from iii_engine.net.nats_client import ANSWER_SECONDS, NatsConnection

if TYPE_CHECKING:
    from nats.js import JetStreamContext
    from nats.js.api import PubAck, RawStreamMsg, StreamConfig

#: Records that are read or written together: each may have as many bytes as the server takes.
TOGETHER: Final = 32


class Stored:
    """Methods raise the errors of the NATS client, `StoreError` and `ServerLost`."""

    def __init__(self, connection: NatsConnection, name: str) -> None:
        self.name = name
        self._connection = connection

    @property
    def _js(self) -> JetStreamContext:
        return self._connection.client.jetstream(timeout=ANSWER_SECONDS)

    async def make(self, config: StreamConfig) -> None:
        from nats.js.errors import BadRequestError

        async def make() -> None:
            try:
                await self._js.add_stream(config)
            except BadRequestError:  # there is one that was made with other options
                await self._js.update_stream(config)

        await self._connection.ask(make())

    async def there(self) -> bool:
        looking = found_or_none(self._js.stream_info, self.name)
        return await self._connection.ask(looking) is not None

    async def count(self) -> int:
        return (await self._connection.ask(self._js.stream_info(self.name))).state.messages

    async def last(self) -> int:
        """The number of the newest."""
        return (await self._connection.ask(self._js.stream_info(self.name))).state.last_seq

    async def put(self, subject: str, record: bytes, known_as: str) -> PubAck:
        """Store it, unless a record `known_as` this was stored some minutes ago: who gets no answer
        in time asks again, and the server may have been slow only."""
        headers = {"Nats-Msg-Id": known_as}
        return await self._connection.ask(self._js.publish(subject, record, headers=headers))

    async def find(self, subject: str) -> RawStreamMsg | None:
        """The newest under such a subject."""
        return await self._connection.ask(found_or_none(self._js.get_last_msg, self.name, subject))

    async def delete(self, number: int) -> bool:
        """False when it is gone already."""
        deleting = found_or_none(self._js.delete_msg, self.name, number)
        return bool(await self._connection.ask(deleting))

    async def oldest_first(self) -> AsyncIterator[list[RawStreamMsg]]:
        """All, some at a time. Where many have gone the next one is found at once."""
        number = 1
        while (first := await self._from(number)) is not None:
            begin, number = first.seq or 0, (first.seq or 0) + TOGETHER
            yield [first, *await self._between(begin + 1, number)]

    async def newest_first(self) -> AsyncIterator[list[RawStreamMsg]]:
        """All, some at a time."""
        state = (await self._connection.ask(self._js.stream_info(self.name))).state
        first = max(1, state.first_seq)
        for end in range(state.last_seq + 1, first, -TOGETHER):
            yield (await self._between(max(end - TOGETHER, first), end))[::-1]

    async def _from(self, number: int) -> RawStreamMsg | None:
        """The first one with this number or a greater one."""
        getting = found_or_none(
            self._js.get_msg, self.name, seq=number, subject=f"{self.name}.>", next=True
        )
        return await self._connection.ask(getting)

    async def _between(self, begin: int, end: int) -> list[RawStreamMsg]:
        numbers = range(begin, end)
        found = await asyncio.gather(*(self._get(number) for number in numbers))
        return [record for record in found if record is not None]

    async def _get(self, number: int) -> RawStreamMsg | None:
        return await self._connection.ask(found_or_none(self._js.get_msg, self.name, number))
