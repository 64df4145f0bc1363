"""The knowledge graph."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from iii_sdk import InvalidInput


async def add(memory: Any, entity_id: str, *relations: tuple[str, str]) -> Any:
    edges = [{"target": target, "type": kind} for target, kind in relations]
    return await memory("kg::add", entity={"id": entity_id, "name": entity_id, "relations": edges})


async def ids(memory: Any, entity_id: str, **more: Any) -> list[str]:
    return [entity["id"] for entity in await memory("kg::query", entityId=entity_id, **more)]


async def stored(memory: Any, entity_id: str) -> Any:
    return await memory.bus.state.get("kg:a1", entity_id)


async def test_memory_case_8_inverse_relations(memory: Any) -> None:
    await add(memory, "target-1")
    for _ in range(2):
        answer = await add(memory, "source-1", ("target-1", "depends_on"), ("nowhere", "x"))
        assert answer == {"stored": True, "id": "source-1"}
    inverse = {"target": "source-1", "type": "inverse:depends_on"}
    assert (await stored(memory, "target-1"))["relations"] == [inverse]
    await add(memory, "target-1")  # written again, it keeps what others put into it
    assert (await stored(memory, "target-1"))["relations"] == [inverse]
    with pytest.raises(InvalidInput, match=r"entity\.id is required"):
        await memory("kg::add", entity={"name": "x"})
    with pytest.raises(InvalidInput, match=r"entity\.id is required"):
        await memory("kg::add")


async def test_memory_case_8_query(memory: Any) -> None:
    for entity_id, target in (("a", "b"), ("b", "c"), ("c", "d"), ("c1", "c2"), ("c2", "c1")):
        await add(memory, entity_id, (target, "next"))
    await add(memory, "d")
    assert await ids(memory, "a", depth=4) == ["a", "b", "c", "d"]
    assert await ids(memory, "a") == ["a", "b"]
    assert await ids(memory, "a", depth=1) == ["a"]
    assert await ids(memory, "a", depth=-3) == ["a"]
    assert await ids(memory, "c1", depth=5) == ["c1", "c2"]
    assert await ids(memory, "missing") == []
    with pytest.raises(InvalidInput, match="entityId is required"):
        await memory("kg::query")


async def test_shared_entities_on_request(memory: Any) -> None:
    await add(memory, "a", ("common", "uses"))
    await memory.bus.state.set("kg:shared", "common", {"id": "common", "name": "Common"})
    assert await ids(memory, "a") == ["a"]
    assert await ids(memory, "a", allowShared=True) == ["a", "common"]


async def test_added_at_the_same_time_nothing_is_lost(memory: Any) -> None:
    await memory.bus.state.set("kg:a1", "hub", {"id": "hub", "name": "without relations"})
    await asyncio.gather(*(add(memory, f"s{i}", ("hub", "near")) for i in range(6)))
    edges = {edge["target"] for edge in (await stored(memory, "hub"))["relations"]}
    assert edges == {f"s{i}" for i in range(6)}


async def test_at_most_500(memory: Any) -> None:
    for i in range(6):
        await add(memory, f"n{i}", *((f"leaf-{i}-{j}", "has") for j in range(99)))
    await add(memory, "root", *((f"n{i}", "has") for i in range(6)))
    leaves = [f"leaf-{i}-{j}" for i in range(6) for j in range(99)]
    await asyncio.gather(
        *(memory.bus.state.set("kg:a1", leaf, {"id": leaf, "relations": []}) for leaf in leaves)
    )
    assert len(await ids(memory, "root", depth=3)) == 500
    with pytest.raises(InvalidInput, match="at most 100"):
        await add(memory, "x", *((str(i), "t") for i in range(101)))
