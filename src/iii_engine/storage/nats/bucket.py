"""The requests to a key-value bucket of JetStream, as far as a store needs them.

Not the client's own `KeyValue`, because that neither writes headers nor reads them: the order of
insertion is in one, and in another the id by which JetStream knows a write that is sent again.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from msgspec import Struct

from iii_engine.net.nats_client import NatsConnection
from iii_engine.storage.nats.names import Names

#: Header of a value: when its record was inserted.
ORDER: Final = "Iii-Order"
#: Header of what is no value but says that it is gone.
OPERATION: Final = "KV-Operation"

#: Of an order: nanoseconds need 19 for two centuries more.
MAX_DIGITS: Final = 20

#: JetStream's codes for "the subject has another revision".
WRONG_REVISION: Final = frozenset({10071, 10164})
#: JetStream names that many subjects in one answer.
SUBJECTS_PER_PAGE: Final = 100_000


#: Seconds of silence after which records are asked for one by one; so many at the same time.
QUIET_SECONDS: Final = 0.2
GETS: Final = 64


class Entry(Struct, frozen=True):
    """A record; without a value the mark of one that was deleted."""

    subject: str
    value: bytes | None
    revision: int
    order: int


class Bucket:
    """Methods raise the errors of the NATS client."""

    def __init__(self, connection: NatsConnection, names: Names, *, answer_seconds: float) -> None:
        self._connection = connection
        self._answer_seconds = answer_seconds
        self._client = connection.client
        self._context = self._client.jetstream(timeout=answer_seconds)
        self._names = names

    async def make(self, replicas: int, *, seconds: float | None = None) -> float | None:
        """Create the bucket if it is not there; its records live `seconds`.

        How long they really live is answered: for ever is None.
        """
        from nats.js.errors import BucketNotFoundError

        try:
            bucket = await self._context.key_value(self._names.bucket)
        except BucketNotFoundError:
            bucket = await self._context.create_key_value(
                bucket=self._names.bucket, replicas=replicas, ttl=seconds
            )
        return (await bucket.status()).ttl or None

    async def greet(self) -> None:
        """Ask for what is never there."""
        await self.get(self._names.of_record("", ""))

    async def get(self, subject: str) -> Entry | None:
        """From the server that leads the bucket: what was acknowledged is seen."""
        from nats.js.errors import NotFoundError

        try:
            message = await self._context.get_msg(self._names.stream, subject=subject)
        except NotFoundError:
            return None
        return _entry(subject, message.data or b"", message.seq or 0, message.headers)

    async def put(
        self, subject: str, value: bytes | None, revision: int, order: int, token: str
    ) -> bool:
        """False when the record has another revision. None deletes."""
        from nats.js.api import Header
        from nats.js.errors import APIError

        headers = {
            Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(revision),
            Header.MSG_ID.value: token,
            **({OPERATION: "DEL"} if value is None else {ORDER: str(order)}),
        }
        if value is not None and (problem := self._connection.too_large(value, headers)):
            raise problem
        try:
            answer = await self._context.publish(subject, value or b"", headers=headers)
        except APIError as error:
            if error.err_code in WRONG_REVISION:
                return False
            raise
        if value is None:
            # The mark has done its work. What was written after it is not touched.
            await self._context.purge_stream(
                self._names.stream, seq=answer.seq + 1, subject=subject
            )
        return True

    async def drop(self, subjects: str) -> None:
        """Remove all records of these subjects, in one step."""
        await self._context.purge_stream(self._names.stream, subject=subjects)

    async def subjects(self, filter_subject: str = ">") -> list[str]:
        """Those that have a record, or the mark of one."""
        found: list[str] = []
        while True:
            request = {"subjects_filter": filter_subject, "offset": len(found)}
            answer = await self._client.request(
                f"$JS.API.STREAM.INFO.{self._names.stream}",
                json.dumps(request).encode(),
                timeout=self._answer_seconds,
            )
            page: dict[str, int] = json.loads(answer.data)["state"].get("subjects") or {}
            found += page
            if len(page) < SUBJECTS_PER_PAGE:
                return found

    async def entries(self, subjects: str, *, headers_only: bool = False) -> list[Entry]:
        """The records of these subjects, in the order of their revisions.

        One that is there all the while is found once, whatever is written and deleted meanwhile.
        """
        found = await self._told(subjects, headers_only=headers_only)
        missing = sorted(set(await self.subjects(subjects)) - found.keys())
        for begin in range(0, len(missing), GETS):
            entries = await asyncio.gather(*map(self.get, missing[begin : begin + GETS]))
            found |= {entry.subject: entry for entry in entries if entry is not None}
        there = (entry for entry in found.values() if entry.value is not None)
        return sorted(there, key=lambda entry: entry.revision)

    async def _told(self, subjects: str, *, headers_only: bool) -> dict[str, Entry]:
        """What the server tells in one go: not what is replaced before it has its turn, and after
        a deletion perhaps nothing."""
        from nats.errors import TimeoutError as Quiet
        from nats.js.api import AckPolicy, DeliverPolicy

        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(
            inbox, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        try:
            consumer = await self._context.add_consumer(
                self._names.stream,
                deliver_subject=inbox,
                filter_subject=subjects,
                deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
                ack_policy=AckPolicy.NONE,
                headers_only=headers_only,
                inactive_threshold=30.0,
            )
            pending = (consumer.num_pending or 0) + (
                consumer.delivered.consumer_seq if consumer.delivered else 0
            )
            most = 2 * pending  # who writes faster than this reads must not keep it
            found: dict[str, Entry] = {}
            while pending and most:
                try:
                    message = await subscription.next_msg(QUIET_SECONDS)
                except Quiet:
                    break
                most -= 1
                where = message.metadata
                pending = where.num_pending
                found[message.subject] = _entry(
                    message.subject, message.data, where.sequence.stream, message.headers
                )
            await self._context.delete_consumer(self._names.stream, consumer.name)
            return found
        finally:
            await subscription.unsubscribe()


def _entry(subject: str, data: bytes, revision: int, headers: dict[str, Any] | None) -> Entry:
    """Values that other programs wrote have no order: they come first, by revision."""
    headers = headers or {}
    if OPERATION in headers:
        return Entry(subject, None, revision, 0)
    order = str(headers.get(ORDER, "0"))
    ours = order.isdecimal() and len(order) <= MAX_DIGITS
    return Entry(subject, data, revision, int(order) if ours else 0)
