"""What a stream of jobs has no place for, in a bucket that all engines read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iii_engine.modules.queue.jetstream.records import found_or_none
from iii_engine.net.nats_client import NatsConnection, token

if TYPE_CHECKING:
    from datetime import datetime

    from nats.js.kv import KeyValue

#: Seconds that a note is kept after it was written last.
KEPT_SECONDS: Final = 86_400.0


class Notes:
    """How often a job was handed back, whether the key of one that is gone is free again, and when
    each engine gave its latest sign of life.

    Jobs without a note are the rule, so a note is looked up only for jobs that were delivered
    before, and for those that have a key of their producer's.
    """

    def __init__(self, connection: NatsConnection, bucket: str, replicas: int) -> None:
        self._connection = connection
        self._name = bucket
        self._replicas = replicas
        self._bucket: KeyValue

    async def open(self) -> None:
        js = self._connection.client.jetstream()
        making = js.create_key_value(bucket=self._name, replicas=self._replicas, ttl=KEPT_SECONDS)
        self._bucket = await self._connection.ask(making)

    async def hand_back(self, stream: str, number: int, count: int) -> None:
        """The job of this number in the stream was handed back so often."""
        await self._put(f"handed.{stream}.{number}", b"%d" % count)

    async def handed_back(self, stream: str, number: int) -> int:
        found = await self._get(f"handed.{stream}.{number}")
        return 0 if found is None else int(found[0])

    async def free(self, stream: str, key: str) -> None:
        """The key stands for no job any more, whatever the server remembers of it."""
        await self._put(f"free.{stream}.{token(key)}", b"free")

    async def generation(self, stream: str, key: str) -> int:
        """Another number whenever the key has become free; 0 when it never was."""
        found = await self._get(f"free.{stream}.{token(key)}")
        return 0 if found is None else found[1]

    async def sign(self, engine: str) -> None:
        """The engine is alive now."""
        await self._put(f"alive.{engine}", b"")

    async def signed_at(self, engine: str) -> datetime | None:
        """When it gave its latest sign, by the clock of the server."""
        js, stream = self._connection.client.jetstream(), f"KV_{self._name}"
        subject = f"$KV.{self._name}.alive.{engine}"
        found = await self._connection.ask(found_or_none(js.get_last_msg, stream, subject))
        return None if found is None else found.time

    async def _put(self, key: str, value: bytes) -> None:
        await self._connection.ask(self._bucket.put(key, value))

    async def _get(self, key: str) -> tuple[bytes, int] | None:
        """The value and its revision."""
        from nats.js.errors import KeyNotFoundError

        async def look() -> tuple[bytes, int] | None:
            try:
                entry = await self._bucket.get(key)
            except KeyNotFoundError:
                return None
            return entry.value or b"0", entry.revision or 0

        return await self._connection.ask(look())
