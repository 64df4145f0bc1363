"""What became of the attempts at a job, for whoever gets it next."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from iii_engine.modules.queue.jetstream.records import found_or_none
from iii_engine.net.nats_client import ANSWER_SECONDS, NatsConnection


class Tried(Struct, omit_defaults=True):
    """`due` is the time (milliseconds since the epoch) at which a pause of `pause_ms` is over, and
    `token` the one of the latest holder who said how it ended."""

    attempts: int = 0
    handed_back: int = 0
    due: int = 0
    pause_ms: int = 0
    token: int = 0

    def early_ms(self, now_ms: int) -> int:
        """How much of the pause is left. Nothing, if a clock was set back meanwhile."""
        left = self.due - now_ms
        return left if left <= self.pause_ms else 0


_decode: Final = msgspec.json.Decoder(Tried).decode


class Tries:
    """A bucket with a record for each job that has failed or was handed back, until it ends.

    Not the server's count of deliveries: a server that is started anew, an engine that dies, or a
    consumer that is made anew deliver a job once more, and none of that is an attempt.
    """

    def __init__(self, connection: NatsConnection, bucket: str, replicas: int) -> None:
        self._connection = connection
        self._bucket = bucket
        self._stream = f"KV_{bucket}"
        self._replicas = replicas

    async def open(self) -> None:
        js = self._connection.client.jetstream()
        making = js.create_key_value(bucket=self._bucket, replicas=self._replicas)
        await self._connection.ask(making)

    async def put(self, stream: str, number: int, tried: Tried) -> None:
        """Of the job with this number in the stream."""
        js = self._connection.client.jetstream(timeout=ANSWER_SECONDS)
        writing = js.publish(self._subject(stream, number), msgspec.json.encode(tried))
        await self._connection.ask(writing)

    async def get(self, stream: str, number: int) -> Tried | None:
        js = self._connection.client.jetstream(timeout=ANSWER_SECONDS)
        subject = self._subject(stream, number)
        found = await self._connection.ask(found_or_none(js.get_last_msg, self._stream, subject))
        if found is None:
            return None
        try:
            return _decode(found.data or b"")
        except msgspec.DecodeError:  # another program wrote it
            return None

    async def forget(self, stream: str, number: int | str) -> None:
        js = self._connection.client.jetstream(timeout=ANSWER_SECONDS)
        purging = js.purge_stream(self._stream, subject=self._subject(stream, number))
        await self._connection.ask(purging)

    async def forget_all(self, stream: str) -> None:
        """No job is left in it."""
        await self.forget(stream, ">")

    async def any(self, stream: str) -> bool:
        """Whether there is a record of any job of the stream."""
        js = self._connection.client.jetstream(timeout=ANSWER_SECONDS)
        subject = self._subject(stream, ">")
        first = found_or_none(js.get_msg, self._stream, seq=1, subject=subject, next=True)
        return await self._connection.ask(first) is not None

    def _subject(self, stream: str, number: int | str) -> str:
        return f"$KV.{self._bucket}.{stream}.{number}"
