"""Appending to the audit chain and checking it.

An entry and the new head `__latest` are written in one transaction that names the head it links
to: of two that append at once one is refused and links anew. Appends of this process queue at a
lock, so that they do not refuse each other.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable

import msgspec
from msgspec import Struct

from agentos.kernel.clock import Clock, now_ms
from agentos.workers.security.audit_key import audit_key
from agentos.workers.security.chain import (
    ZEROS,
    Entry,
    Head,
    Link,
    entry_hash,
    read_link,
    violations,
)
from iii_sdk import Bus, BusError, Conflict, InvalidInput

log = logging.getLogger("agentos.security")

SCOPE = "audit"
LATEST = "__latest"
PAGE = 1_000
#: How often an append links anew because another instance was faster.
ATTEMPTS = 32


class AuditEvent(Struct, rename="camel"):
    """What happened. `type` is required."""

    type: str = ""
    agent_id: str | None = None
    detail: dict[str, object] | None = None


class Recorded(Struct):
    """The id of the entry and its hash in hex."""

    id: str
    hash: str


class Verdict(Struct):
    """`violations` are sentences, in the order of the chain."""

    valid: bool
    entries: int
    violations: list[str]


class Audit:
    """The chain in state scope `audit`. `key` is asked once, at the first use."""

    def __init__(self, key: Callable[[], bytes] = audit_key, clock: Clock = now_ms) -> None:
        self._ask_key = key
        self._clock = clock
        self._key: bytes | None = None
        self._lock = asyncio.Lock()
        #: The head after our last append; only a guess when other instances append too.
        self._head: Head | None = None

    @property
    def key(self) -> bytes:
        """The HMAC key."""
        if self._key is None:
            self._key = self._ask_key()
        return self._key

    async def record(self, event: AuditEvent, bus: Bus) -> Recorded:
        """Append an event to the tamper-evident audit chain."""
        if not event.type:
            raise InvalidInput("type is required")
        async with self._lock:
            for _ in range(ATTEMPTS):
                head = self._head or await bus.state.get(SCOPE, LATEST, Head)
                entry = self._entry_after(head, event)
                if await self._append(bus, head, entry):
                    return Recorded(id=entry.id, hash=entry.hash)
        raise Conflict("the audit chain is too busy: the entry was not written")

    def _entry_after(self, head: Head | None, event: AuditEvent) -> Entry:
        entry = Entry(
            id=str(uuid.uuid4()),
            timestamp=self._clock(),
            type=event.type,
            agent_id=event.agent_id,
            detail=event.detail or {},
            prev_hash=ZEROS if head is None else head.hash,
            seq=1 if head is None else head.seq + 1,
        )
        entry.hash = entry_hash(entry, self.key)
        return entry

    async def _append(self, bus: Bus, head: Head | None, entry: Entry) -> bool:
        """Write entry and head if `head` is still the head; False when it is not."""
        latest = Head(
            hash=entry.hash,
            id=entry.id,
            timestamp=entry.timestamp,
            seq=entry.seq if isinstance(entry.seq, int) else 0,
        )
        self._head = None  # unknown until the transaction is answered
        outcome = await bus.state.transact(
            [
                {
                    "op": "set",
                    "scope": SCOPE,
                    "key": LATEST,
                    "value": msgspec.to_builtins(latest),
                    "expect": {"hash": None if head is None else head.hash},
                },
                {
                    "op": "set",
                    "scope": SCOPE,
                    "key": entry.id,
                    "value": msgspec.to_builtins(entry),
                },
            ]
        )
        if outcome.applied:
            self._head = latest
        return outcome.applied

    async def note(
        self, bus: Bus, kind: str, agent_id: str | None, detail: dict[str, object]
    ) -> None:
        """Append, and only log when that fails: for events that must not stop their cause."""
        try:
            await self.record(AuditEvent(type=kind, agent_id=agent_id, detail=detail), bus)
        except BusError as error:
            log.error("audit entry %s was not written: %s", kind, error)

    async def verify(self, bus: Bus) -> Verdict:
        """Check the whole audit chain: links, hashes and that its end was not cut off."""
        links: list[Link] = []
        seen = 0
        for _ in range(ATTEMPTS):
            seen = await self._read(bus, links, seen)
            head = await bus.state.get(SCOPE, LATEST, Head)
            # Entries appended while we read come last: read on until the head is among them.
            if head is None or any(item.hash == head.hash for item in reversed(links)):
                break
            if await self._read(bus, links, seen) == seen:
                break
        found = violations(links, head)
        return Verdict(valid=not found, entries=len(links), violations=found)

    async def _read(self, bus: Bus, links: list[Link], offset: int) -> int:
        """Add the links of all records from `offset` on; how many records there are."""
        while True:
            page = await bus.call(
                "state::list",
                {"scope": SCOPE, "limit": PAGE, "offset": offset},
                kind=list[dict[str, object]],
            )
            links.extend(read_link(record, self.key) for record in page if "prevHash" in record)
            offset += len(page)
            if len(page) < PAGE:
                return offset
