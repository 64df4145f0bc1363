"""User profiles."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentos.workers.memory.profiles import merge
from iii_sdk import InvalidInput


async def update(memory: Any, **updates: Any) -> Any:
    return await memory("user_profile::update", updates=updates)


async def test_memory_case_13(memory: Any, clock: Any) -> None:
    assert await memory("user_profile::get") is None
    await update(memory, preferences={"theme": "dark", "lang": "en"}, skills=["typescript"])
    answer = await update(memory, preferences={"theme": "light"}, skills=["rust"], name=None)
    profile = {
        "preferences": {"theme": "light", "lang": "en"},
        "skills": ["typescript", "rust"],
        "updatedAt": clock.now + 1,
    }
    assert answer == {"updated": True, "profile": profile}
    assert await memory("user_profile::get") == profile


async def test_refusals(memory: Any) -> None:
    for data in ({"agentId": "", "updates": {}}, {"agentId": "a1"}, {"updates": 5}):
        with pytest.raises(InvalidInput):
            await memory.bus.call("memory::user_profile::update", data)
    assert await memory("user_profile::get") is None


async def test_updated_at_the_same_time_nothing_is_lost(memory: Any) -> None:
    await asyncio.gather(*(update(memory, skills=[i]) for i in range(6)))
    assert sorted((await memory("user_profile::get"))["skills"]) == list(range(6))


def test_lists_have_no_repetitions_and_an_end() -> None:
    assert merge({"l": [1, 2]}, {"l": [2, 3, 3]}) == {"l": [1, 2, 3]}
    assert merge({"l": list(range(100))}, {"l": [100]})["l"] == list(range(1, 101))
    assert merge({"l": [1]}, {"l": "text"}) == {"l": "text"}
