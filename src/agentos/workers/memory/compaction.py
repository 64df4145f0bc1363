"""Replacing the older part of a session by a summary."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from msgspec import Struct

from agentos.kernel.clock import Clock, now_ms
from agentos.kernel.ids import require_id
from agentos.workers.memory.entries import embed
from agentos.workers.memory.index import RecallIndex
from agentos.workers.memory.llm import ask
from agentos.workers.memory.records import (
    Entry,
    MessageRef,
    memory_scope,
    new_id,
    read_entry,
    read_refs,
    sessions_scope,
)
from agentos.workers.memory.sessions import rewrite_op
from agentos.workers.memory.store import put_op, write
from iii_sdk import Bus, Conflict

#: Characters given to the model at once.
CHUNK = 80_000
IMPORTANCE = 0.9
#: Records read from state at once.
PARALLEL = 32

INSTRUCTIONS = (
    "Summarise the conversation you are given. Be brief. Keep facts, decisions and the context "
    "that somebody needs who continues it. Answer with the summary only."
)


class Compact(Struct, rename="camel"):
    """Nothing happens below `threshold` messages; the last `keep_recent` stay as they are."""

    agent_id: str = "default"
    session_id: str = "default"
    threshold: int = 30
    keep_recent: int = 10


class Compacted(Struct, rename="camel"):
    """How many messages went into the summary and how many stayed."""

    summarized: int
    kept: int
    summary_id: str
    compacted: bool = True


class NotCompacted(Struct):
    """`below_threshold` or `summary_failed`; nothing was changed."""

    reason: str
    compacted: bool = False


def chunks(text: str, size: int = CHUNK) -> Iterator[str]:
    """Pieces of at most `size` characters, cut after the last newline inside, else hard."""
    start = 0
    while len(text) - start > size:
        newline = text.rfind("\n", start, start + size)
        end = newline + 1 if newline >= start else start + size
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


async def resolve(bus: Bus, agent_id: str, refs: list[MessageRef]) -> list[Entry | None]:
    """The entries of the references, None where one is gone; one lookup per distinct id."""
    ids = list(dict.fromkeys(ref.id for ref in refs if ref.id))
    entries: dict[str, Entry | None] = {}
    for start in range(0, len(ids), PARALLEL):
        some = ids[start : start + PARALLEL]
        values = await asyncio.gather(
            *(bus.state.get(memory_scope(agent_id), entry_id) for entry_id in some)
        )
        entries.update(
            (entry_id, read_entry(value, entry_id))
            for entry_id, value in zip(some, values, strict=True)
        )
    return [entries.get(ref.id) for ref in refs]


class Compactor:
    """`memory::session::compact`."""

    def __init__(self, index: RecallIndex, clock: Clock = now_ms) -> None:
        self._index = index
        self._clock = clock

    async def compact(self, request: Compact, bus: Bus) -> Compacted | NotCompacted:
        """Summarise the older messages of a long session into one entry."""
        agent_id = require_id(request.agent_id, "agentId")
        session = await bus.state.get(sessions_scope(agent_id), request.session_id)
        refs = read_refs(session)
        keep = max(request.keep_recent, 0)
        old, kept = refs[: len(refs) - keep], refs[len(refs) - keep :]
        if len(refs) < request.threshold or not old or keep >= len(refs):
            return NotCompacted("below_threshold")
        summary = await self._summarise(bus, agent_id, old)
        if summary is None:
            return NotCompacted("summary_failed")
        entry = await self._entry(bus, request, summary)
        refs = [MessageRef(entry.id, entry.role, entry.timestamp), *kept]
        fields: dict[str, object] = {"compactedAt": entry.timestamp}
        rewrite = rewrite_op(agent_id, request.session_id, session, refs, fields)
        if not await write(bus, [rewrite, put_op(entry)]):
            raise Conflict(f"session {request.session_id} changed meanwhile; nothing was done")
        self._index.put(agent_id, entry)
        return Compacted(len(old), len(kept), entry.id)

    async def _summarise(self, bus: Bus, agent_id: str, refs: list[MessageRef]) -> str | None:
        """One summary of all texts; None when the model failed on any part, or none is left."""
        entries = await resolve(bus, agent_id, refs)
        text = "\n\n".join(f"{entry.role}: {entry.content}" for entry in entries if entry)
        summaries: list[str] = []
        for chunk in chunks(text):
            summary = await ask(bus, INSTRUCTIONS, chunk)
            if summary is None:
                return None
            summaries.append(summary)
        return "\n\n".join(summaries) or None

    async def _entry(self, bus: Bus, request: Compact, summary: str) -> Entry:
        now = self._clock()
        return Entry(
            id=new_id(),
            agent_id=request.agent_id,
            content=summary,
            role="system",
            timestamp=now,
            embedding=await embed(bus, summary),
            session_id=request.session_id,
            importance=IMPORTANCE,
            last_accessed=now,
        )
