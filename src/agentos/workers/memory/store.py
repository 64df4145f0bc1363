"""Entries in state: writing, finding by content, reading all, deleting.

An entry, the pointer from its content and its place in a session are one transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from agentos.workers.memory.records import (
    SHORT_HASH,
    Entry,
    MessageRef,
    Pointer,
    memory_scope,
    read_entry,
    read_pointer,
    sessions_scope,
)
from iii_sdk import Bus
from iii_sdk.state import Op, append, increment, set_

log = logging.getLogger("agentos.memory")

#: Records read at once; an entry with its embedding has some kilobytes.
PAGE = 500
#: Writes under way at once in a clean-up.
PARALLEL = 32
#: How often a write is tried when others change the same records.
ATTEMPTS = 8
DEFAULT_SESSION = "default"


class Stored(Struct):
    """The id of the entry, and whether it was there before."""

    id: str
    known: bool


class Contents(Struct):
    """All of an agent's memory: entries in the order of storing, and pointer keys by entry id."""

    entries: list[Entry]
    pointers: dict[str, list[str]]


async def write(bus: Bus, ops: Sequence[Op]) -> bool:
    """Make several writes at once; False when what one of them expects is not there."""
    done = await bus.state.transact(ops)
    for result in done.results:
        if isinstance(result, dict) and result.get("errors"):
            # A record of a shape we do not know, for instance messages that are no list.
            codes = [error.get("code") for error in result["errors"]]
            log.warning("a record was updated in part only: %s", codes)
    return done.applied


async def read_all(bus: Bus, agent_id: str) -> Contents:
    """Every entry of an agent, read in pages."""
    contents = Contents([], {})
    scope = memory_scope(agent_id)
    offset = 0
    while True:
        page = await bus.state.items(scope, offset=offset, limit=PAGE)
        for key, value in page:
            if (entry := read_entry(value, key)) is not None:
                contents.entries.append(entry)
            elif (pointer := read_pointer(value)) is not None:
                contents.pointers.setdefault(pointer.id, []).append(key)
        offset += len(page)
        if len(page) < PAGE:
            return contents


async def find_pointer(bus: Bus, agent_id: str, digest: str) -> tuple[str, Pointer] | None:
    """The pointer to the entry with this content and its key; older ones have a short key."""
    for key in (digest, digest[:SHORT_HASH]):
        pointer = read_pointer(await bus.state.get(memory_scope(agent_id), key))
        if pointer is not None:
            return key, pointer
    return None


def session_ops(
    agent_id: str, session_id: str | None, ref: MessageRef, tokens: float | None
) -> list[Op]:
    """The writes that put a message into its session and count its tokens.

    Tokens of a message without session count for the session `default`.
    """
    writes: list[Op] = []
    if session_id:
        writes.append(
            _session_update(agent_id, session_id, [append("messages", to_json(ref))], ref)
        )
    if tokens is not None:
        target = session_id or DEFAULT_SESSION
        writes.append(_session_update(agent_id, target, [increment("totalTokens", tokens)], ref))
    return writes


def _session_update(agent_id: str, session_id: str, ops: list[Op], ref: MessageRef) -> Op:
    ops = [
        *ops,
        set_("updatedAt", ref.timestamp),
        set_("sessionId", session_id),
        set_("agentId", agent_id),
    ]
    return {"op": "update", "scope": sessions_scope(agent_id), "key": session_id, "ops": ops}


def to_json(record: Struct) -> dict[str, object]:
    """A record as it is stored."""
    plain: dict[str, object] = msgspec.to_builtins(record)
    return plain


def put_op(entry: Entry) -> Op:
    """The write of a whole entry."""
    scope = memory_scope(entry.agent_id)
    return {"op": "set", "scope": scope, "key": entry.id, "value": to_json(entry)}


def touch_op(agent_id: str, entry_id: str, now: int) -> Op:
    """Count an access to an entry; only while it exists."""
    return {
        "op": "update",
        "scope": memory_scope(agent_id),
        "key": entry_id,
        "ops": [increment("accessCount"), set_("lastAccessed", now)],
        "expect": {"id": entry_id},
    }


async def delete_entries(
    bus: Bus, agent_id: str, entry_ids: Sequence[str], pointers: Mapping[str, Sequence[str]]
) -> None:
    """Remove entries with the pointers that lead to them; `pointers` are keys by entry id."""
    for start in range(0, len(entry_ids), PARALLEL):
        some = entry_ids[start : start + PARALLEL]
        await asyncio.gather(*(_delete(bus, agent_id, one, pointers.get(one, ())) for one in some))


async def _delete(bus: Bus, agent_id: str, entry_id: str, pointer_keys: Sequence[str]) -> None:
    scope = memory_scope(agent_id)
    entry: Op = {"op": "delete", "scope": scope, "key": entry_id}
    keys = [
        {"op": "delete", "scope": scope, "key": key, "expect": {"id": entry_id}}
        for key in pointer_keys
    ]
    if not await write(bus, [entry, *keys]):
        # A pointer leads to another entry by now, and stays.
        await bus.state.transact([entry])
