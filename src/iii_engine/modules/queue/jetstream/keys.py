"""Keys under which producers would find a job again, in a bucket that all engines read."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from iii_engine.modules.queue.jetstream.records import found_or_none
from iii_engine.net.nats_client import ANSWER_SECONDS, NatsConnection, token

if TYPE_CHECKING:
    from nats.js import JetStreamContext

#: Milliseconds that a key is kept at most, whatever its window.
MOST_MS: Final = 86_400_000
#: Keys that have expired are removed with each new one, so many.
SWEPT: Final = 2
#: The header that says after which number of its subject a row may be written, and JetStream's code
#: for "it is another one".
EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
WRONG_LAST: Final = 10071


class Row(Struct):
    """The key stands for a job until `until` (milliseconds since the epoch).

    While it is not yet known that the job is `stored`, everybody who asks stores it under the same
    id, so it is there once, also when its first producer was lost in between.
    """

    until: int
    stored: bool = False


_decode: Final = msgspec.json.Decoder(Row).decode


class Claim(Struct):
    """What was found, or made, under a key: `claimed` is the number that the row was made with."""

    subject: str
    row: Row
    claimed: int


class Keys:
    """Methods raise the errors of the NATS client, `StoreError` and `ServerLost`.

    The server's own de-duplication is not enough: it forgets the ids of jobs that are done when it
    is started anew, and knows one window for all.
    """

    def __init__(self, connection: NatsConnection, bucket: str, replicas: int) -> None:
        self._connection = connection
        self._bucket = bucket
        self._stream = f"KV_{bucket}"
        self._replicas = replicas
        #: When those of this engine expire, with the places of their rows.
        self._mine: list[tuple[int, str, int]] = []

    @property
    def _js(self) -> JetStreamContext:
        return self._connection.client.jetstream(timeout=ANSWER_SECONDS)

    async def open(self) -> None:
        making = self._js.create_key_value(
            bucket=self._bucket, replicas=self._replicas, ttl=MOST_MS / 1000
        )
        await self._connection.ask(making)

    async def claim(self, stream: str, key: str, window_ms: int, now_ms: int) -> Claim:
        """Whose the key is; a new claim when it is free."""
        await self._sweep(now_ms)
        subject = self._subject(stream, key)
        while True:
            row, number = await self._read(subject)
            if row is not None and row.until > now_ms:
                return Claim(subject, row, number)
            row = Row(now_ms + window_ms)
            made = await self._write(subject, row, number)
            if made is not None:
                return Claim(subject, row, made)

    async def stored(self, claim: Claim) -> None:
        """The job is in its stream: from now on nobody stores it under this key."""
        row = Row(claim.row.until, stored=True)
        number = await self._write(claim.subject, row, claim.claimed)
        if number is not None:  # nobody was faster
            heappush(self._mine, (row.until, claim.subject, number))

    async def free(self, stream: str, key: str) -> None:
        """The key stands for no job any more."""
        subject = self._subject(stream, key)
        _, number = await self._read(subject)
        if number:
            await self._remove(subject, number)

    def _subject(self, stream: str, key: str) -> str:
        return f"$KV.{self._bucket}.{stream}.{token(key)}"

    async def _sweep(self, now_ms: int) -> None:
        for _ in range(SWEPT):
            if self._mine and self._mine[0][0] <= now_ms:
                await self._remove(*heappop(self._mine)[1:])

    async def _remove(self, subject: str, number: int) -> None:
        """What was written with this number, and nothing that took its place."""
        purging = self._js.purge_stream(self._stream, subject=subject, seq=number + 1)
        await self._connection.ask(purging)

    async def _read(self, subject: str) -> tuple[Row | None, int]:
        """With its number; 0 where there is none."""
        found = await self._connection.ask(
            found_or_none(self._js.get_last_msg, self._stream, subject)
        )
        if found is None:
            return None, 0
        try:
            return _decode(found.data or b""), found.seq or 0
        except msgspec.DecodeError:  # another program wrote it
            return None, found.seq or 0

    async def _write(self, subject: str, row: Row, number: int) -> int | None:
        """The new number; None when the row is not the one of `number` any more."""
        from nats.js.errors import APIError

        async def write() -> int | None:
            headers = {EXPECTED: str(number)}
            try:
                ack = await self._js.publish(subject, msgspec.json.encode(row), headers=headers)
            except APIError as error:
                if error.err_code == WRONG_LAST:
                    return None
                raise
            return ack.seq

        return await self._connection.ask(write())
