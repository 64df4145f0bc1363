"""Letting go of what is not used: decay of confidence, merging of repetitions, eviction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct, structs

from agentos.kernel.clock import DAY_MS, Clock, now_ms
from agentos.kernel.ids import require_id
from agentos.workers.memory.duplicates import find_duplicates
from agentos.workers.memory.index import RecallIndex
from agentos.workers.memory.records import Entry, MessageRef, memory_scope
from agentos.workers.memory.sessions import drop_refs, rewrite_refs
from agentos.workers.memory.store import PARALLEL, Contents, delete_entries, read_all
from iii_sdk import Bus
from iii_sdk.state import increment, set_

#: Confidence does not fall below this.
FLOOR = 0.1
#: Entries decay when nobody recalled them for this long.
REST_MS = 7 * DAY_MS

Part = Annotated[float, Meta(ge=0, le=1)]
NotNegative = Annotated[int, Meta(ge=0)]


class Evict(Struct, rename="camel"):
    """`max_age` in ms; `cap` entries per agent. Without `agent_id`: all agents."""

    agent_id: str | None = None
    max_age: NotNegative = 30 * DAY_MS
    min_importance: Part = 0.2
    cap: NotNegative = 10_000


class Evicted(Struct):
    """How many entries are gone."""

    evicted: int


class Consolidate(Struct, rename="camel"):
    """`decay_rate` is the part of the confidence lost. Without `agent_id`: all agents."""

    agent_id: str | None = None
    decay_rate: Part = 0.05


class Consolidated(Struct, rename="camel"):
    """What was changed, and how long it took."""

    memories_decayed: int
    memories_merged: int
    duration_ms: int


def choose_victims(entries: Sequence[Entry], request: Evict, now: int) -> list[Entry]:
    """Which entries go: old and unimportant, forgotten, or too many; each once."""
    oldest = now - request.max_age
    victims: list[Entry] = []
    rest: list[Entry] = []
    for entry in entries:
        unimportant = entry.timestamp < oldest and entry.importance < request.min_importance
        forgotten = entry.confidence <= FLOOR and entry.last_accessed < oldest
        # Below the floor only others write; such an entry counts as doubted at any age.
        doubted = entry.confidence < FLOOR
        (victims if unimportant or forgotten or doubted else rest).append(entry)
    rest.sort(key=lambda entry: (entry.importance, entry.timestamp))
    return victims + rest[: max(len(rest) - request.cap, 0)]


def decayed(entry: Entry, rate: float, now: int) -> float | None:
    """The lower confidence of a neglected entry; None when it stays as it is."""
    if entry.confidence <= FLOOR or now - entry.last_accessed <= REST_MS:
        return None
    return max(FLOOR, entry.confidence * (1 - rate))


class Upkeep:
    """`memory::evict` and `memory::consolidate`."""

    def __init__(self, index: RecallIndex, clock: Clock = now_ms) -> None:
        self._index = index
        self._clock = clock

    async def evict(self, request: Evict, bus: Bus) -> Evicted:
        """Delete what is old, unimportant and not used, and keep each agent below its cap."""
        count = 0
        for agent_id in await _agents(bus, request.agent_id):
            contents = await read_all(bus, agent_id)
            victims = choose_victims(contents.entries, request, self._clock())
            await self._delete(bus, agent_id, [entry.id for entry in victims], contents)
            await drop_refs(bus, agent_id, [entry.id for entry in victims])
            count += len(victims)
        return Evicted(count)

    async def _delete(
        self, bus: Bus, agent_id: str, entry_ids: list[str], contents: Contents
    ) -> None:
        await delete_entries(bus, agent_id, entry_ids, contents.pointers)
        for entry_id in entry_ids:
            self._index.remove(agent_id, entry_id)

    async def consolidate(self, request: Consolidate, bus: Bus) -> Consolidated:
        """Lower the confidence of neglected entries and merge near duplicates."""
        started = time.monotonic()
        faded = merged = 0
        for agent_id in await _agents(bus, request.agent_id):
            contents = await read_all(bus, agent_id)
            faded += await self._decay(bus, agent_id, contents, request.decay_rate)
            merged += await self._merge(bus, agent_id, contents)
        return Consolidated(faded, merged, round((time.monotonic() - started) * 1000))

    async def _decay(self, bus: Bus, agent_id: str, contents: Contents, rate: float) -> int:
        """Write the lower confidences; how many entries that concerned."""
        now = self._clock()
        lower = [
            (entry, value)
            for entry in contents.entries
            if (value := decayed(entry, rate, now)) is not None
        ]
        count = 0
        for start in range(0, len(lower), PARALLEL):
            some = lower[start : start + PARALLEL]
            done = await asyncio.gather(
                *(self._set_confidence(bus, agent_id, entry, value) for entry, value in some)
            )
            count += sum(done)
        return count

    async def _set_confidence(self, bus: Bus, agent_id: str, entry: Entry, value: float) -> bool:
        """False when the entry is gone meanwhile: an update would bring back a part of it."""
        written = await bus.state.update(
            memory_scope(agent_id), entry.id, [set_("confidence", value)], expect={"id": entry.id}
        )
        if written.applied:
            entry.confidence = value
            self._index.put(agent_id, entry)
        return written.applied

    async def _merge(self, bus: Bus, agent_id: str, contents: Contents) -> int:
        """Let the more important entry stand for its repetitions; how many were merged."""
        count = 0
        # Comparing thousands of vectors takes seconds, and other workers share this loop.
        for keep, repeats in await asyncio.to_thread(find_duplicates, contents.entries):
            merged = await self._merge_into(bus, agent_id, keep, repeats, contents)
            count += len(repeats) if merged else 0
        return count

    async def _merge_into(
        self, bus: Bus, agent_id: str, keep: Entry, repeats: list[Entry], contents: Contents
    ) -> bool:
        scope = memory_scope(agent_id)
        accesses = sum(entry.access_count for entry in repeats)
        written = await bus.state.update(
            scope, keep.id, [increment("accessCount", accesses)], expect={"id": keep.id}
        )
        if not written.applied:
            return False
        gone = {entry.id for entry in repeats}
        for entry_id in gone:
            for key in contents.pointers.get(entry_id, ()):
                # The repeated content is known under the entry that stands for it.
                move = [set_("id", keep.id)]
                await bus.state.update(scope, key, move, expect={"id": entry_id})
        await self._delete(bus, agent_id, list(gone), Contents([], {}))

        def moved(ref: MessageRef) -> MessageRef:
            return structs.replace(ref, id=keep.id)

        await rewrite_refs(bus, agent_id, gone, moved)
        return True


async def _agents(bus: Bus, agent_id: str | None) -> list[str]:
    """The agent asked for, or all that have memories."""
    if agent_id is not None:
        return [require_id(agent_id, "agentId")]
    prefix = memory_scope("")
    groups = await bus.state.groups()
    return [group.removeprefix(prefix) for group in groups if group.startswith(prefix)]
