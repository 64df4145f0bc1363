"""Storing, recalling and forgetting, on a real engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.served import StandIn, served
from tests.support.waiting import until

from agentos.workers.memory.hashing import content_hash, hash_embed
from agentos.workers.memory.worker import create
from iii_sdk import BusError, InvalidInput, TooLarge


async def test_memory_case_1_stored_once_per_agent(memory: Any) -> None:
    first = await memory.store("Hello world", role="user")
    assert first["stored"] is True
    assert len(first["id"]) == 36
    again = await memory.store("Hello world", role="user")
    assert again == {"deduplicated": True, "id": first["id"]}
    other = await memory.bus.call("memory::store", {"agentId": "a2", "content": "Hello world"})
    assert other["stored"]
    assert other["id"] != first["id"]


async def test_the_stored_record(memory: Any, clock: Any) -> None:
    stored = await memory.store("Hello", role="assistant", sessionId="s", importance=0.25)
    assert await memory.entry(stored["id"]) == {
        "id": stored["id"],
        "agentId": "a1",
        "content": "Hello",
        "role": "assistant",
        "embedding": None,
        "timestamp": clock.now,
        "sessionId": "s",
        "importance": 0.25,
        "hash": content_hash("Hello"),
        "confidence": 1.0,
        "accessCount": 0,
        "lastAccessed": clock.now,
    }
    pointer = {"id": stored["id"], "timestamp": clock.now}
    assert await memory.entry(content_hash("Hello")) == pointer


async def test_memory_case_4_sessions(memory: Any, clock: Any) -> None:
    ids = []
    for content in ("one", "two", "three"):
        clock.now += 1
        ids.append((await memory.store(content, sessionId="s-multi"))["id"])
    session = await memory.session("s-multi")
    assert [message["id"] for message in session["messages"]] == ids
    assert (session["updatedAt"], session["sessionId"]) == (clock.now, "s-multi")
    assert session["agentId"] == "a1"
    await memory.store("four", sessionId="s-multi", tokenUsage={"total": 500, "input": 1})
    assert (await memory.session("s-multi"))["totalTokens"] == 500
    await memory.store("five", tokenUsage={"total": 500})
    default = await memory.session("default")
    assert (default["totalTokens"], default.get("messages")) == (500, None)
    assert len(await memory("session::list")) == 2


async def test_a_repeated_answer_stays_in_the_session(memory: Any, clock: Any) -> None:
    stored = await memory.store("yes", sessionId="s")
    clock.now += 5
    await memory.store("yes", sessionId="s", tokenUsage={"total": 3})
    session = await memory.session("s")
    assert [message["id"] for message in session["messages"]] == [stored["id"]] * 2
    assert session["totalTokens"] == 3
    entry = await memory.entry(stored["id"])
    assert (entry["accessCount"], entry["lastAccessed"]) == (1, clock.now)


async def test_stored_at_the_same_time_once(memory: Any) -> None:
    answers = await asyncio.gather(*(memory.store("same", sessionId="s") for _ in range(20)))
    assert len({answer["id"] for answer in answers}) == 1
    assert sum(answer.get("stored", False) for answer in answers) == 1
    assert len(await memory.keys()) == 2
    assert len((await memory.session("s"))["messages"]) == 20


async def test_a_pointer_to_nothing_is_replaced(memory: Any) -> None:
    digest = content_hash("text")
    await memory.bus.state.set("memory:a1", digest, {"id": "gone", "timestamp": 1})
    stored = await memory.store("text", sessionId="s")
    assert stored["stored"]
    assert (await memory.entry(digest))["id"] == stored["id"]
    assert len((await memory.session("s"))["messages"]) == 1


async def test_a_short_pointer_of_an_older_deployment_counts(memory: Any) -> None:
    await memory.put("old", content="text", hash=content_hash("text")[:16])
    assert await memory.store("text") == {"deduplicated": True, "id": "old"}


async def test_refused_contents_change_nothing(memory: Any) -> None:
    for data, error in (
        ({"content": ""}, InvalidInput),
        ({"content": " \n"}, InvalidInput),
        ({}, InvalidInput),
        ({"content": "x" * 1_000_001}, TooLarge),
        ({"content": "x", "importance": 1.5}, InvalidInput),
        ({"content": "x", "agentId": "a/b"}, InvalidInput),
    ):
        with pytest.raises(error):
            await memory("store", **data)
    assert await memory.keys() == set()
    with pytest.raises(InvalidInput, match="content is required"):
        await memory("store")


async def test_memory_case_5_recall(memory: Any) -> None:
    assert await memory("recall", query="x") == []
    for i in range(15):
        await memory.store(f"entry number {i}")
    found = await memory("recall", query="entry")
    assert len(found) == 10
    assert set(found[0]) == {"role", "content", "score", "timestamp", "id"}
    assert len(await memory("recall", query="entry", limit=3)) == 3
    assert len(await memory("recall", limit=0)) == 1
    assert len(await memory("recall", limit=9999)) == 15


async def test_memory_cases_6_and_7_scores(memory: Any, clock: Any) -> None:
    await memory.put(
        "half", content="React code", importance=0.6, timestamp=clock.now - 168 * 3_600_000
    )
    await memory.store("React component lifecycle methods")
    await memory.store("How to deploy to AWS Lambda")
    found = await memory("recall", query="React lifecycle")
    assert [row["content"][:5] for row in found] == ["React", "React", "How t"]
    assert found[0]["score"] == pytest.approx(0.45)
    assert found[1]["score"] == pytest.approx(0.2718, abs=5e-5)


async def test_recall_with_an_embedding_worker(engine: RunningEngine) -> None:
    def generate(data: Any) -> Any:
        return {"embedding": hash_embed(data["text"]), "dim": 128}

    embedding = StandIn({"embedding::generate": generate})
    async with served(engine, embedding.worker, create()) as bus:
        await bus.call("memory::store", {"content": "hello world"})
        (found,) = await bus.call("memory::recall", {"query": "hello world"})
        assert found["score"] == pytest.approx(0.95, abs=1e-6)
        embedding.answers["embedding::generate"] = BusError("broken")
        (found,) = await bus.call("memory::recall", {"query": "hello world"})
        assert found["score"] == pytest.approx(0.45, abs=1e-6)
        assert (await bus.call("memory::store", {"content": "no vector"}))["stored"]


async def test_recalled_entries_are_touched_and_searched_ones_are_not(
    memory: Any, clock: Any
) -> None:
    entry_id = (await memory.store("text"))["id"]
    clock.now += 1000
    assert await memory("search", query="text") == await memory("query", query="text")
    assert (await memory.entry(entry_id))["accessCount"] == 0
    await memory("recall", query="text")

    async def touched() -> bool:
        return bool((await memory.entry(entry_id))["accessCount"] == 1)

    await until(touched)
    assert (await memory.entry(entry_id))["lastAccessed"] == clock.now


async def test_changes_of_others_are_seen(memory: Any) -> None:
    await memory.store("mine")
    await memory("recall")
    await memory.put("theirs", content="theirs")

    async def contents() -> set[str]:
        return {row["content"] for row in await memory("search")}

    async def both() -> bool:
        return await contents() == {"mine", "theirs"}

    await until(both)
    await memory.bus.state.delete("memory:a1", "theirs")

    async def one() -> bool:
        return await contents() == {"mine"}

    await until(one)


async def test_only_triggers_report_changes(memory: Any) -> None:
    event = {"scope": "memory:a1", "key": "x", "new_value": {"content": "c", "role": "user"}}
    with pytest.raises(BusError, match="triggers only"):
        await memory.bus.call("memory::changed", event)


async def test_a_new_engine_voids_the_index(engine: RunningEngine) -> None:
    async with served(engine, create()) as bus:
        await bus.call("memory::store", {"content": "text"})
        assert len(await bus.call("memory::recall", {})) == 1
        await engine.restart()  # what was in memory is gone

        async def empty() -> bool:
            try:
                return await bus.call("memory::recall", {}) == []
            except BusError:  # not connected yet
                return False

        await until(empty)


async def test_aliases(memory: Any) -> None:
    stored = await memory("remember", content="text")
    assert await memory("store", content="text") == {"deduplicated": True, "id": stored["id"]}
    assert await memory("delete", id=stored["id"]) == {"deleted": True}


async def test_forget(memory: Any) -> None:
    first = await memory.store("one", sessionId="s")
    second = await memory.store("two", sessionId="s")
    assert await memory("forget", id=first["id"]) == {"deleted": True}
    assert await memory("forget", id=first["id"]) == {"deleted": False}
    assert await memory.keys() == {second["id"], content_hash("two")}
    messages = (await memory.session("s"))["messages"]
    assert [message["id"] for message in messages] == [second["id"]]
    assert len(await memory("search")) == 1
    assert await memory("forget", content="two") == {"deleted": True}
    assert await memory("forget", content="two") == {"deleted": False}
    assert await memory("forget", id=content_hash("x")) == {"deleted": False}
    assert await memory.keys() == set()
    with pytest.raises(InvalidInput, match="id or content is required"):
        await memory("forget")


async def test_memory_case_18_embed(memory: Any) -> None:
    assert await memory("embed", text="hello world") == hash_embed("hello world")
    assert await memory("embed") == [0.0] * 128


async def test_a_session_of_another_shape_is_told(
    memory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await memory.bus.state.set("sessions:a1", "s", {"messages": "not a list"})
    assert (await memory.store("text", sessionId="s"))["stored"]
    assert "in part only" in caplog.text
    assert "text" not in caplog.text
