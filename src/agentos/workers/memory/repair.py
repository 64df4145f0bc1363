"""What can be wrong with the messages of a session, and putting it right.

`plan` is pure: it gets the references and their entries and says what the session should be and
which entries have to be written for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct, structs

from agentos.kernel.clock import Clock, now_ms
from agentos.kernel.ids import require_id
from agentos.workers.memory.compaction import resolve
from agentos.workers.memory.entries import embed
from agentos.workers.memory.index import RecallIndex
from agentos.workers.memory.records import (
    Entry,
    MessageRef,
    new_id,
    read_refs,
    sessions_scope,
)
from agentos.workers.memory.sessions import rewrite_op
from agentos.workers.memory.store import put_op, write
from iii_sdk import Bus, Conflict
from iii_sdk.state import Op

#: Longer contents are cut, in characters.
MAX_CONTENT = 500_000
CUT_MARK = "\n[cut]"


class Repair(Struct, rename="camel"):
    """Which session."""

    agent_id: str = "default"
    session_id: str = "default"


class Stats(Struct, rename="camel"):
    """How much of each kind was put right."""

    empty_removed: int = 0
    duplicates_removed: int = 0
    consecutive_merged: int = 0
    orphaned_refs: int = 0
    reordered: int = 0
    oversized_detected: int = 0

    @property
    def total(self) -> int:
        """All together."""
        return sum(structs.astuple(self))


class Repaired(Struct, rename="camel"):
    """`total_fixes` is the sum of the stats; 0 means that nothing was written."""

    repaired: bool
    total_fixes: int
    stats: Stats


class Plan(Struct):
    """`written` are the entries to store, new ones and cut ones."""

    refs: list[MessageRef]
    written: list[Entry]
    stats: Stats


def merged(texts: Sequence[Entry], entry_id: str) -> Entry:
    """One entry of several, their contents joined by newlines; it has no vector yet."""
    return structs.replace(
        texts[0],
        id=entry_id,
        content="\n".join(entry.content for entry in texts),
        embedding=None,
        importance=max(entry.importance for entry in texts),
        hash="",
    )


def plan(refs: list[MessageRef], entries: Mapping[str, Entry]) -> Plan:
    """The repaired session. `entries` by id."""
    stats = Stats()
    refs = _distinct(refs, stats)
    present = [ref for ref in refs if ref.id in entries]
    stats.orphaned_refs = len(refs) - len(present)
    written: list[Entry] = []
    repaired: list[MessageRef] = []
    for group in _turns(present):
        texts = [entries[ref.id] for ref in group]
        entry = texts[0]
        if len(group) > 1:
            stats.consecutive_merged += len(group) - 1
            entry = merged(texts, new_id())
        if len(entry.content) > MAX_CONTENT:
            stats.oversized_detected += 1
            kept = entry.content[: MAX_CONTENT - len(CUT_MARK)]
            entry = structs.replace(entry, content=kept + CUT_MARK)
        if entry is not texts[0]:
            written.append(entry)
        repaired.append(MessageRef(entry.id, group[0].role, group[0].timestamp))
    _order(repaired, stats)
    return Plan(repaired, written, stats)


def _distinct(refs: list[MessageRef], stats: Stats) -> list[MessageRef]:
    """Without blank ids and without an id that was there before."""
    named = [ref for ref in refs if ref.id]
    stats.empty_removed = len(refs) - len(named)
    distinct = list({ref.id: ref for ref in reversed(named)}.values())[::-1]
    stats.duplicates_removed = len(named) - len(distinct)
    return distinct


def _turns(refs: list[MessageRef]) -> list[list[MessageRef]]:
    """Neighbours of one role together; system messages each alone."""
    turns: list[list[MessageRef]] = []
    for ref in refs:
        if turns and ref.role == turns[-1][0].role and ref.role != "system":
            turns[-1].append(ref)
        else:
            turns.append([ref])
    return turns


def _order(refs: list[MessageRef], stats: Stats) -> None:
    """Times never go back: one that is earlier than its predecessor comes 1 ms after it."""
    for before, ref in pairwise(refs):
        if ref.timestamp < before.timestamp:
            ref.timestamp = before.timestamp + 1
            stats.reordered += 1


class Repairer:
    """`memory::session::repair`."""

    def __init__(self, index: RecallIndex, clock: Clock = now_ms) -> None:
        self._index = index
        self._clock = clock

    async def repair(self, request: Repair, bus: Bus) -> Repaired:
        """Put a session right; a second run finds nothing to do."""
        agent_id = require_id(request.agent_id, "agentId")
        session = await bus.state.get(sessions_scope(agent_id), request.session_id)
        refs = read_refs(session)
        found = await resolve(bus, agent_id, refs)
        todo = plan(refs, {entry.id: entry for entry in found if entry is not None})
        total = todo.stats.total
        if total:
            fields: dict[str, object] = {
                "repairedAt": self._clock(),
                "repairStats": msgspec.to_builtins(todo.stats),
            }
            rewrite = rewrite_op(agent_id, request.session_id, session, todo.refs, fields)
            await self._write(bus, rewrite, todo.written)
        return Repaired(bool(total), total, todo.stats)

    async def _write(self, bus: Bus, rewrite: Op, written: list[Entry]) -> None:
        """Entries first, so that the session never refers to one that is not there."""
        for entry in written:
            if entry.embedding is None:
                entry.embedding = await embed(bus, entry.content)
            await bus.state.transact([put_op(entry)])
            self._index.put(entry.agent_id, entry)
        if not await write(bus, [rewrite]):
            raise Conflict("the session changed meanwhile; repair it again")
