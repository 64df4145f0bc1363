"""Finding sessions by words."""

from __future__ import annotations

from typing import Any

import pytest

from iii_sdk import InvalidInput


async def search(memory: Any, **data: Any) -> Any:
    return await memory("session_search", **data)


async def test_memory_case_14(memory: Any) -> None:
    await memory.store("kubernetes is up", sessionId="s1")
    await memory.store("Kubernetes again: " + "x" * 300, sessionId="s1")
    await memory.store("nothing here", sessionId="s2")
    await memory.store("kubernetes without session")
    (row,) = await search(memory, query="kubernetes")
    assert (row["sessionId"], row["matchCount"], row["topScore"]) == ("s1", 2, 1.0)
    assert row["highlights"][0] == "kubernetes is up"
    assert len(row["highlights"][1]) == 200


async def test_memory_case_14_limit_and_order(memory: Any, clock: Any) -> None:
    for i in range(5):
        clock.now += 3_600_000
        for j in range(4):
            await memory.store(f"topic {i} {j}", sessionId=f"s{i}")
    rows = await search(memory, query="topic", limit=2)
    assert [row["sessionId"] for row in rows] == ["s4", "s3"]
    assert len(rows[0]["highlights"]) == 3
    assert len(await search(memory, query="topic", limit=1000)) == 5


async def test_refusals(memory: Any) -> None:
    with pytest.raises(InvalidInput, match="query is required"):
        await search(memory, query=" ")
    with pytest.raises(InvalidInput, match="agentId is required"):
        await memory.bus.call("memory::session_search", {"query": "x"})
