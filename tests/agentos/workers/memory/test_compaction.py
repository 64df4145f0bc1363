"""Compacting sessions."""

from __future__ import annotations

from typing import Any

from tests.support.served import StandIn

from agentos.workers.memory.compaction import chunks
from iii_sdk import BusError


async def fill(memory: Any, count: int) -> list[str]:
    return [
        (await memory.store(f"message {i}", sessionId="s", role="user"))["id"] for i in range(count)
    ]


async def test_memory_case_11_below_threshold(memory: Any) -> None:
    await fill(memory, 29)
    answer = await memory("session::compact", sessionId="s")
    assert answer == {"compacted": False, "reason": "below_threshold"}
    answer = await memory("session::compact", sessionId="unknown")
    assert answer == {"compacted": False, "reason": "below_threshold"}


async def test_memory_case_11_compacts(memory: Any, others: StandIn, clock: Any) -> None:
    ids = await fill(memory, 30)
    answer = await memory("session::compact", sessionId="s")
    summary_id = answer.pop("summaryId")
    assert answer == {"compacted": True, "summarized": 20, "kept": 10}
    session = await memory.session("s")
    assert session["messages"][0] == {"id": summary_id, "role": "system", "timestamp": clock.now}
    assert [message["id"] for message in session["messages"][1:]] == ids[20:]
    assert session["compactedAt"] == clock.now
    entry = await memory.entry(summary_id)
    assert (entry["content"], entry["role"], entry["importance"]) == ("a summary", "system", 0.9)
    assert (entry["hash"], entry["confidence"]) == ("", 1.0)
    (asked,) = others.asked("llm::complete")
    assert asked["model"]["model"] == "claude-haiku-4-5"
    text = asked["messages"][0]["content"]
    assert r"user: message 0\n\nuser: message 1" in text
    assert "message 20" not in text


async def test_memory_case_11_a_model_that_fails_changes_nothing(
    memory: Any, others: StandIn
) -> None:
    await fill(memory, 30)
    before, keys = await memory.session("s"), await memory.keys()
    offline = {"content": "no model is configured", "provider": "offline"}
    for failure in (BusError("down"), {"content": " "}, offline):
        others.answers["llm::complete"] = failure
        answer = await memory("session::compact", sessionId="s")
        assert answer == {"compacted": False, "reason": "summary_failed"}
    assert await memory.session("s") == before
    assert await memory.keys() == keys


async def test_keeping_everything_or_nothing(memory: Any) -> None:
    await fill(memory, 4)
    answer = await memory("session::compact", sessionId="s", threshold=1, keepRecent=4)
    assert answer["reason"] == "below_threshold"
    answer = await memory("session::compact", sessionId="s", threshold=1, keepRecent=0)
    assert (answer["summarized"], answer["kept"]) == (4, 0)


def test_chunks() -> None:
    assert list(chunks("ab\ncd\nef", 6)) == ["ab\ncd\n", "ef"]
    assert list(chunks("abcdefg", 3)) == ["abc", "def", "g"]
    assert list(chunks("ab\n" * 5, 4)) == ["ab\n"] * 4 + ["ab\n"]
    assert list(chunks("")) == []
    text = "line of text\n" * 20_000
    parts = list(chunks(text))
    assert "".join(parts) == text
    assert all(len(part) <= 80_000 and part.endswith("\n") for part in parts)
