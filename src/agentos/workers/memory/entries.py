"""Storing, recalling and forgetting entries."""

from __future__ import annotations

import logging
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from agentos.kernel.clock import Clock, now_ms
from agentos.kernel.ids import require_id
from agentos.workers.memory.hashing import content_hash
from agentos.workers.memory.importance import estimate_importance
from agentos.workers.memory.index import AgentIndex, RecallIndex, Scored
from agentos.workers.memory.records import (
    SHORT_HASH,
    Entry,
    MessageRef,
    memory_scope,
    new_id,
    read_entry,
    read_pointer,
)
from agentos.workers.memory.sessions import drop_refs
from agentos.workers.memory.store import (
    ATTEMPTS,
    delete_entries,
    find_pointer,
    put_op,
    read_all,
    session_ops,
    touch_op,
    write,
)
from agentos.workers.memory.watching import Watcher
from iii_sdk import Bus, BusError, Conflict, InvalidInput, TooLarge
from iii_sdk.state import Op

log = logging.getLogger("agentos.memory")

MAX_CONTENT = 1_000_000
MAX_RECALL = 200
EMBEDDING_TIMEOUT_S = 10.0


class TokenUsage(Struct):
    """What the model used for the message."""

    total: int | None = None


class StoreEntry(Struct, rename="camel"):
    """`importance` 0..1 replaces the estimate."""

    content: str = ""
    agent_id: str = "default"
    role: str = "user"
    session_id: str | None = None
    token_usage: TokenUsage | None = None
    importance: Annotated[float, Meta(ge=0, le=1)] | None = None


class New(Struct):
    """The content was not there before."""

    id: str
    stored: bool = True


class Duplicate(Struct):
    """The agent remembers this content already, under `id`."""

    id: str
    deduplicated: bool = True


class Recall(Struct, rename="camel"):
    """`limit` is clamped to 1..200."""

    agent_id: str = "default"
    query: str = ""
    limit: int = 10


class Recalled(Struct):
    """One entry with its score of 0..1; `timestamp` in epoch ms."""

    role: str
    content: str
    score: float
    timestamp: int
    id: str


class Forget(Struct, rename="camel"):
    """Which entry: by `id`, or by its whole `content`."""

    agent_id: str = ""
    id: str | None = None
    content: str | None = None


class Forgotten(Struct):
    """False when there was no such entry."""

    deleted: bool


class Embedding(Struct):
    """What the embedding worker answers."""

    embedding: list[float]


async def embed(bus: Bus, text: str) -> list[float] | None:
    """The vector of a text; None when there is no embedding worker or it fails."""
    try:
        answer = await bus.call(
            "embedding::generate", {"text": text}, kind=Embedding, timeout=EMBEDDING_TIMEOUT_S
        )
    except (BusError, msgspec.ValidationError) as error:
        log.debug("no embedding: %s", error)
        return None
    return answer.embedding or None


class Entries:
    """The functions on entries, over one recall index."""

    def __init__(self, index: RecallIndex, clock: Clock = now_ms) -> None:
        self.index = index
        self.watcher = Watcher(index)
        self._clock = clock

    # -- store -----------------------------------------------------------------------------------

    async def store(self, request: StoreEntry, bus: Bus) -> New | Duplicate:
        """Remember a text; a content that is known already is not stored twice."""
        agent_id = require_id(request.agent_id, "agentId")
        if not request.content.strip():
            raise InvalidInput("content is required")
        if len(request.content) > MAX_CONTENT:
            raise TooLarge(f"$.content: more than {MAX_CONTENT} characters")
        digest = content_hash(request.content)
        entry: Entry | None = None
        for _ in range(ATTEMPTS):
            found = await find_pointer(bus, agent_id, digest)
            known = None if found is None else found[1].id
            if known is not None and await self._touch_known(known, request, bus):
                return Duplicate(known)
            # No pointer, or one to an entry that is gone.
            entry = entry or await self._new_entry(request, digest, bus)
            replaced = known if found is not None and found[0] == digest else None
            if await self._write(entry, replaced, request, bus):
                self.index.put(agent_id, entry)
                return New(entry.id)
        raise Conflict("the same content is being stored and removed again and again")

    async def _new_entry(self, request: StoreEntry, digest: str, bus: Bus) -> Entry:
        importance = request.importance
        if importance is None:
            importance = estimate_importance(request.content, request.role)
        embedding = await embed(bus, request.content)
        now = self._clock()
        return Entry(
            id=new_id(),
            agent_id=request.agent_id,
            content=request.content,
            role=request.role,
            timestamp=now,
            embedding=embedding,
            session_id=request.session_id or None,
            importance=importance,
            hash=digest,
            last_accessed=now,
        )

    async def _write(self, entry: Entry, stale: str | None, request: StoreEntry, bus: Bus) -> bool:
        """Entry, pointer and session at once; False when somebody set the pointer meanwhile.

        `stale` is the entry id in the pointer that this one replaces.
        """
        pointer = {
            "op": "set",
            "scope": memory_scope(entry.agent_id),
            "key": entry.hash,
            "value": {"id": entry.id, "timestamp": entry.timestamp},
            "expect": {"id": stale},
        }
        writes = [pointer, put_op(entry), *self._session(entry.id, request, entry.timestamp)]
        return await write(bus, writes)

    async def _touch_known(self, entry_id: str, request: StoreEntry, bus: Bus) -> bool:
        """Count an access and add the turn to the session; False when the entry is gone."""
        now = self._clock()
        writes = [
            touch_op(request.agent_id, entry_id, now),
            *self._session(entry_id, request, now),
        ]
        return await write(bus, writes)

    def _session(self, entry_id: str, request: StoreEntry, now: int) -> list[Op]:
        ref = MessageRef(entry_id, request.role, now)
        tokens = None if request.token_usage is None else request.token_usage.total or 0
        return session_ops(request.agent_id, request.session_id, ref, tokens)

    # -- recall ----------------------------------------------------------------------------------

    async def recall(self, request: Recall, bus: Bus) -> list[Recalled]:
        """The entries that answer a query best; being recalled keeps them alive."""
        found = await self.search(request, bus)
        now = self._clock()
        for item in found:
            touch = dict(touch_op(request.agent_id, item.id, now))
            del touch["op"]
            bus.send("state::update", touch)
        return found

    async def search(self, request: Recall, bus: Bus) -> list[Recalled]:
        """The same without counting as an access."""
        agent_id = require_id(request.agent_id, "agentId")
        limit = min(max(request.limit, 1), MAX_RECALL)
        index = await self.indexed(agent_id, bus)
        if not len(index):
            return []
        vector = await embed(bus, request.query) if request.query.strip() else None
        best = await index.search(request.query, vector or [], limit, self._clock())
        return [_recalled(scored) for scored in best]

    async def indexed(self, agent_id: str, bus: Bus) -> AgentIndex:
        """The index of an agent, read from state when it is not there."""

        async def load() -> list[Entry]:
            # First watch, then read: nothing that happens in between is missed.
            self.watcher.watch(agent_id)
            return (await read_all(bus, agent_id)).entries

        self.watcher.begin(bus)
        return await self.index.of(agent_id, load)

    # -- forget ----------------------------------------------------------------------------------

    async def forget(self, request: Forget, bus: Bus) -> Forgotten:
        """Remove an entry, what leads to it and its place in sessions."""
        agent_id = require_id(request.agent_id, "agentId")
        entry = await self._find(agent_id, request, bus)
        if entry is None:
            return Forgotten(False)
        keys = [entry.hash, entry.hash[:SHORT_HASH]] if entry.hash else []
        pointers = [
            key
            for key in keys
            if (pointer := read_pointer(await bus.state.get(memory_scope(agent_id), key)))
            and pointer.id == entry.id
        ]
        await delete_entries(bus, agent_id, [entry.id], {entry.id: pointers})
        self.index.remove(agent_id, entry.id)
        await drop_refs(bus, agent_id, [entry.id])
        return Forgotten(True)

    async def _find(self, agent_id: str, request: Forget, bus: Bus) -> Entry | None:
        entry_id = request.id
        if not entry_id:
            if not request.content:
                raise InvalidInput("id or content is required")
            found = await find_pointer(bus, agent_id, content_hash(request.content))
            if found is None:
                return None
            entry_id = found[1].id
        return read_entry(await bus.state.get(memory_scope(agent_id), entry_id), entry_id)


def _recalled(scored: Scored) -> Recalled:
    item = scored.item
    return Recalled(item.role, item.content, scored.score, item.timestamp, item.id)
