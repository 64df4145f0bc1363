"""Repairing sessions."""

from __future__ import annotations

from typing import Any

from agentos.workers.memory.records import Entry, MessageRef
from agentos.workers.memory.repair import CUT_MARK, MAX_CONTENT, plan

NONE = {
    "emptyRemoved": 0,
    "duplicatesRemoved": 0,
    "consecutiveMerged": 0,
    "orphanedRefs": 0,
    "reordered": 0,
    "oversizedDetected": 0,
}


def entry(entry_id: str, role: str, content: str = "c") -> Entry:
    return Entry(id=entry_id, agent_id="a1", content=content, role=role, timestamp=1)


async def test_memory_case_12(memory: Any, clock: Any) -> None:
    await memory.put("a", role="user")
    await memory.put("b", role="assistant")
    refs = [
        {"id": ""},
        {"id": "a", "role": "user", "ts": 5},
        {"id": "a", "role": "user", "ts": 5},
        {"id": "b", "role": "assistant", "ts": 3},
    ]
    await memory.set_session("s", refs)
    stats = {**NONE, "emptyRemoved": 1, "duplicatesRemoved": 1, "reordered": 1}
    answer = await memory("session::repair", sessionId="s")
    assert answer == {"repaired": True, "totalFixes": 3, "stats": stats}
    session = await memory.session("s")
    assert session["messages"] == [
        {"id": "a", "role": "user", "timestamp": 5},
        {"id": "b", "role": "assistant", "timestamp": 6},
    ]
    assert (session["repairedAt"], session["repairStats"]) == (clock.now, stats)
    again = await memory("session::repair", sessionId="s")
    assert again == {"repaired": False, "totalFixes": 0, "stats": NONE}


async def test_memory_case_12_system_messages_are_not_merged(memory: Any) -> None:
    for entry_id in ("a", "b"):
        await memory.put(entry_id, role="system")
    refs = [{"id": i, "role": "system", "timestamp": 1} for i in ("a", "b")]
    await memory.set_session("s", refs)
    assert not (await memory("session::repair", sessionId="s"))["repaired"]


async def test_merging_keeps_both_texts_and_happens_once(memory: Any) -> None:
    await memory.put("a", content="first", importance=0.2)
    await memory.put("b", content="second", importance=0.7)
    refs = [{"id": i, "role": "user", "timestamp": 1} for i in ("a", "gone", "b")]
    await memory.set_session("s", refs)
    answer = await memory("session::repair", sessionId="s")
    assert answer["stats"] == {**NONE, "consecutiveMerged": 1, "orphanedRefs": 1}
    (ref,) = (await memory.session("s"))["messages"]
    merged = await memory.entry(ref["id"])
    assert (merged["content"], merged["importance"]) == ("first\nsecond", 0.7)
    assert not (await memory("session::repair", sessionId="s"))["repaired"]


async def test_an_unknown_session_needs_nothing(memory: Any) -> None:
    assert not (await memory("session::repair", sessionId="unknown"))["repaired"]
    assert await memory.session("unknown") is None


def test_oversized_contents_are_cut_once() -> None:
    big = entry("a", "user", "x" * (MAX_CONTENT + 1))
    refs = [MessageRef("a", "user", 1)]
    first = plan(refs, {"a": big})
    assert first.stats.oversized_detected == 1
    (cut,) = first.written
    assert (cut.id, len(cut.content)) == ("a", MAX_CONTENT)
    assert cut.content.endswith(CUT_MARK)
    assert plan(first.refs, {"a": cut}).stats.total == 0
