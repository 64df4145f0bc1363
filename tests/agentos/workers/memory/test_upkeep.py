"""Eviction and consolidation."""

from __future__ import annotations

from typing import Any

import pytest

from agentos.workers.memory.records import Entry
from agentos.workers.memory.upkeep import Evict, choose_victims, decayed
from iii_sdk import InvalidInput

NOW = 1_700_000_000_000
DAY = 86_400_000


def entry(entry_id: str, age_days: float = 0, **fields: Any) -> Entry:
    at = round(NOW - age_days * DAY)
    given = {"last_accessed": at, **fields}
    return Entry(entry_id, "a1", "c", "user", at, **given)


def victims(*entries: Entry, **request: Any) -> list[str]:
    return [victim.id for victim in choose_victims(entries, Evict(**request), NOW)]


def test_memory_case_9_rules() -> None:
    assert victims(entry("a", 40, importance=0.1)) == ["a"]
    assert victims(entry("a", 1, importance=0.1)) == []
    assert victims(entry("a", 40, importance=0.8)) == []
    assert victims(entry("a", 5, importance=0.1), max_age=3 * DAY) == ["a"]
    assert victims() == []


def test_memory_case_9_cap() -> None:
    entries = [entry(str(i), importance=0.3 + i / 10) for i in (3, 1, 4, 0, 2)]
    assert victims(*entries, cap=3) == ["0", "1"]
    ties = [entry("young", 1), entry("old", 2)]
    assert victims(*ties, cap=1) == ["old"]
    assert victims(entry("x", 40, importance=0.1), entry("y"), cap=1) == ["x"]


def test_memory_case_9_low_confidence() -> None:
    assert victims(entry("a", 40, confidence=0.1)) == ["a"]
    assert victims(entry("a", 40, confidence=0.1, last_accessed=NOW)) == []
    assert victims(entry("a", 1, confidence=0.05)) == ["a"]


def test_memory_case_10_decay() -> None:
    assert decayed(entry("a", 8), 0.05, NOW) == pytest.approx(0.95)
    assert decayed(entry("a", 8, confidence=0.1), 0.05, NOW) is None
    assert decayed(entry("a", 1), 0.05, NOW) is None
    assert decayed(entry("a", 8), 1.0, NOW) == 0.1


async def test_memory_case_9_eviction_leaves_nothing_behind(memory: Any, clock: Any) -> None:
    await memory.put("old", timestamp=clock.now - 40 * DAY, importance=0.1)
    await memory.put("new", importance=0.1)
    refs = [{"id": i, "role": "user", "timestamp": 1} for i in ("old", "new")]
    await memory.set_session("s", refs)
    assert len(await memory("search")) == 2
    assert await memory.bus.call("memory::evict", {}) == {"evicted": 1}
    assert await memory.keys() == {"new", "hash-new"}
    assert [ref["id"] for ref in (await memory.session("s"))["messages"]] == ["new"]
    assert [row["id"] for row in await memory("search")] == ["new"]
    assert await memory.bus.call("memory::evict", {}) == {"evicted": 0}


async def test_a_pointer_to_another_entry_survives(memory: Any) -> None:
    await memory.put("a", importance=0.1)
    await memory.put("b", hash="hash-a")  # took the pointer over
    await memory("evict", cap=1)
    assert await memory.keys() == {"b", "hash-a"}


async def test_memory_case_9_one_agent_or_all(memory: Any) -> None:
    await memory.store("one")
    await memory.bus.call("memory::store", {"agentId": "a2", "content": "one"})
    assert await memory("evict", cap=0) == {"evicted": 1}
    assert await memory.bus.call("memory::evict", {"cap": 0}) == {"evicted": 1}
    with pytest.raises(InvalidInput, match=r"\$\.cap"):
        await memory("evict", cap=-1)


async def test_memory_case_10_consolidation(memory: Any, clock: Any) -> None:
    await memory.put("rested", lastAccessed=clock.now - 8 * DAY, confidence=1.0)
    await memory.put("legacy", timestamp=clock.now - 8 * DAY)  # knows no confidence yet
    await memory.put("used", lastAccessed=clock.now - DAY, confidence=1.0)
    answer = await memory.bus.call("memory::consolidate", {})
    assert (answer["memoriesDecayed"], answer["memoriesMerged"]) == (2, 0)
    assert answer["durationMs"] >= 0
    confidences = [(await memory.entry(i)).get("confidence") for i in ("rested", "legacy", "used")]
    assert confidences == [pytest.approx(0.95), pytest.approx(0.95), 1.0]
    await memory("consolidate", decayRate=1.0)
    assert (await memory.entry("rested"))["confidence"] == 0.1


async def test_near_duplicates_are_merged(memory: Any) -> None:
    vector = [1.0, 0.5, -0.25]
    await memory.put("keep", embedding=vector, importance=0.9, accessCount=1)
    await memory.put("drop", embedding=[1.0, 0.5, -0.26], accessCount=4)
    await memory.put("other", embedding=[-1.0, 0.5, 0.25])
    refs = [{"id": i, "role": "user", "timestamp": 1} for i in ("drop", "other")]
    await memory.set_session("s", refs)
    assert (await memory("consolidate"))["memoriesMerged"] == 1
    assert await memory.entry("drop") is None
    assert (await memory.entry("keep"))["accessCount"] == 5
    assert (await memory.entry("hash-drop"))["id"] == "keep"
    assert [ref["id"] for ref in (await memory.session("s"))["messages"]] == ["keep", "other"]
    assert {row["id"] for row in await memory("search")} == {"keep", "other"}
