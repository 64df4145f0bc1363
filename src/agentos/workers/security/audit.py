"""Appending to the audit chain and checking it.

Entries and the new head `__latest` are written in one transaction that names the head they link
to: of two instances that append at once one is refused and links anew. In one process a single
writer takes everything that waits into the next transaction, so that a busy chain costs one disk
flush for many entries.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

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
from iii_sdk import Bus, BusError, Conflict, InvalidInput, TooLarge, Unavailable
from iii_sdk.state import Op

log = logging.getLogger("agentos.security")

SCOPE = "audit"
LATEST = "__latest"
PAGE = 1_000
#: How often an append links anew because another instance was faster.
ATTEMPTS = 32
#: Entries in one transaction; the head goes with them, and 128 writes are the limit.
BATCH = 100


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


@dataclass
class _Waiting:
    """An entry without its place in the chain, and who waits for it."""

    draft: Entry
    done: asyncio.Future[Recorded]

    def succeed(self) -> None:
        if not self.done.done():  # the caller may have gone
            self.done.set_result(Recorded(self.draft.id, self.draft.hash))

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Audit:
    """The chain in state scope `audit`. `key` is asked once, at the first use."""

    def __init__(self, key: Callable[[], bytes] = audit_key, clock: Clock = now_ms) -> None:
        self._ask_key = key
        self._clock = clock
        self._key: bytes | None = None
        #: The head after our last append; only a guess when other instances append too.
        self._head: Head | None = None
        self._waiting: deque[_Waiting] = deque()
        self._writer: asyncio.Task[None] | None = None

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
        draft = Entry(
            id=str(uuid.uuid4()),
            timestamp=self._clock(),
            type=event.type,
            agent_id=event.agent_id,
            detail=event.detail or {},
        )
        waiting = _Waiting(draft, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(bus))
        return await waiting.done

    async def _write(self, bus: Bus) -> None:
        """Append until nothing waits."""
        try:
            while self._waiting:
                count = min(len(self._waiting), BATCH)
                await self._settle(bus, [self._waiting.popleft() for _ in range(count)])
        finally:
            self._writer = None

    async def _settle(self, bus: Bus, batch: list[_Waiting]) -> None:
        """Append the drafts, and tell those who wait how that went."""
        failure: Exception = Unavailable("the audit entry was not written")
        try:
            await self._append(bus, [waiting.draft for waiting in batch])
            for waiting in batch:
                waiting.succeed()
        except TooLarge as error:
            # Nothing was sent; alone, each but the one to blame fits.
            failure = error
            if len(batch) > 1:
                for waiting in batch:
                    await self._settle(bus, [waiting])
        except BusError as error:
            failure = error
        except Exception:  # whatever it was, who waits must hear and the next batch must be tried
            log.exception("audit entries were not written")
        finally:
            for waiting in batch:
                waiting.fail(failure)

    async def _append(self, bus: Bus, drafts: list[Entry]) -> None:
        """Write the drafts as the next entries. Raises `Conflict` when others never pause."""
        for _ in range(ATTEMPTS):
            head, self._head = self._head, None  # unknown until the transaction is answered
            head = head or await bus.state.get(SCOPE, LATEST, Head)
            latest = self._link(head, drafts)
            move: Op = {
                "op": "set",
                "scope": SCOPE,
                "key": LATEST,
                "value": msgspec.to_builtins(latest),
                "expect": {"hash": None if head is None else head.hash},
            }
            entries: list[Op] = [
                {"op": "set", "scope": SCOPE, "key": draft.id, "value": msgspec.to_builtins(draft)}
                for draft in drafts
            ]
            if (await bus.state.transact([move, *entries])).applied:
                self._head = latest
                return
        raise Conflict("the audit chain is too busy: nothing was written")

    def _link(self, head: Head | None, drafts: list[Entry]) -> Head:
        """Number, link and hash the drafts as successors of `head`; the head they make."""
        before, seq = (ZEROS, 0) if head is None else (head.hash, head.seq)
        for draft in drafts:
            seq += 1
            draft.seq, draft.prev_hash = seq, before
            before = draft.hash = entry_hash(draft, self.key)
        last = drafts[-1]
        return Head(last.hash, last.id, last.timestamp, seq)

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
