"""The server side of a store over NATS: a key-value bucket of JetStream.

Each record is one key, its revision the condition of the next write. There are no transactions
over several keys in NATS 2.9, so works that need one are refused before anything is written.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from iii_engine.core.once import Once
from iii_engine.net.nats_client import ANSWER_SECONDS, NatsConnection
from iii_engine.net.server_url import masked
from iii_engine.storage.base import StoreError
from iii_engine.storage.buffer import Write
from iii_engine.storage.nats.bucket import Bucket, Entry
from iii_engine.storage.nats.names import Names
from iii_engine.storage.reads import Count, Found, Item, Page, Read, Spaces
from iii_sdk.errors import BusError

log = logging.getLogger("iii.storage")

#: Requests that are under way at the same time, at most.
IN_FLIGHT: Final = 64


class NotSupported(BusError):
    """The server of this adapter cannot do that; nothing was changed."""

    code = "not_supported"


class NatsRemote:
    """See `Remote`. `replicas` counts for a bucket that is made here."""

    def __init__(
        self,
        url: str,
        bucket: str,
        replicas: int = 1,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._answer_seconds = answer_seconds
        self._url = url
        self._names = Names(bucket)
        self._replicas = replicas
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._latest_order = 0
        self._left_out = Once(log)
        self.name = f"NATS at {masked(url)}"

    async def open(self) -> None:
        self._connection = NatsConnection(self._url)
        await self._connection.open()
        self._bucket = Bucket(self._connection, self._names, answer_seconds=self._answer_seconds)
        try:
            await self._connection.ask(self._bucket.make(self._replicas))
        except BaseException:
            await self._connection.close()
            raise

    async def close(self) -> None:
        await self._connection.close()

    def check(self, reads: set[Read], writes: list[Write]) -> None:
        """One record, or the end of one whole space."""
        records = {write[:2] for write in writes}
        if not records:
            return
        space, key = next(iter(records))
        allowed = Count(space) if key is None else Item(space, key)
        if len(records) > 1 or reads - {allowed}:
            raise NotSupported(
                "NATS keeps every record for itself: a change that depends on several, or changes "
                "several at once, is not possible with the adapter 'nats'"
            )

    async def greet(self) -> None:
        """See `Remote`."""
        await self._connection.ask(self._bucket.greet())

    # -- fetching --------------------------------------------------------------------------------

    async def fetch(self, reads: Sequence[Read]) -> list[Found]:
        """Each read for itself; together they need not be of one moment."""
        return await self._connection.ask(self._fetch_all(reads))

    async def _fetch_all(self, reads: Sequence[Read]) -> list[Found]:
        return await asyncio.gather(*map(self._fetch, reads))

    async def _fetch(self, read: Read) -> Found:
        async with self._slots:
            try:
                match read:
                    case Item(space, key):
                        return await self._item(self._names.of_record(space, key))
                    case Page():
                        return Found(self._page(await self._entries(read.space), read))
                    case Count(space):
                        return Found(len(await self._entries(space, headers_only=True)))
                    case Spaces(prefix):
                        records = map(self._record, await self._bucket.subjects())
                        spaces = {record[0] for record in records if record is not None}
                        return Found(sorted(s for s in spaces if s.startswith(prefix)))
            except StoreError as error:
                return Found(None, refused=error)

    async def _item(self, subject: str) -> Found:
        entry = await self._bucket.get(subject)
        if entry is None:
            return Found(None, (0,))
        if entry.value is None:
            return Found(None, (entry.revision,))
        return Found(entry.value, (entry.revision, entry.order))

    async def _entries(self, space: str, *, headers_only: bool = False) -> list[tuple[str, Entry]]:
        """The records of a space, with their keys."""
        entries = await self._bucket.entries(self._names.of_space(space), headers_only=headers_only)
        records = ((self._record(entry.subject), entry) for entry in entries)
        return [(record[1], entry) for record, entry in records if record is not None]

    def _record(self, subject: str) -> tuple[str, str] | None:
        """None for what has a name that no record of ours has; said once."""
        record = self._names.record_of(subject)
        if record is None:
            text = "%s: %.200r is no name of ours; such names are left out"
            self._left_out.warn(text, self.name, subject)
        return record

    def _page(self, entries: list[tuple[str, Entry]], read: Page) -> list[tuple[str, bytes]]:
        ordered = sorted(entries, key=lambda found: (found[1].order, found[1].revision))
        items = [(key, entry.value or b"") for key, entry in ordered]
        found = [item for item in items if item[0].startswith(read.prefix)]
        return found[read.offset :][: read.limit]

    # -- committing ------------------------------------------------------------------------------

    async def commit(self, token: str, reads: Mapping[Read, Found], writes: list[Write]) -> bool:
        """The last of the writes is what counts: they are all of one record."""
        if not writes:
            return True
        return await self._connection.ask(self._commit(token, reads, writes))

    async def _commit(self, token: str, reads: Mapping[Read, Found], writes: list[Write]) -> bool:
        space, key, value = writes[-1]
        async with self._slots:
            if key is None:
                await self._bucket.drop(self._names.of_space(space))
                return True
            found = reads[Item(space, key)]
            if value is None and found.value is None:
                return True
            moved = found.value is None or any(write[2] is None for write in writes)
            order = self._next_order() if moved else found.mark[1]
            subject = self._names.of_record(space, key)
            return await self._bucket.put(subject, value, found.mark[0], order, token)

    def _next_order(self) -> int:
        """When a record was inserted, so that all engines list it in the same place."""
        self._latest_order = max(self._latest_order + 1, time.time_ns())
        return self._latest_order
