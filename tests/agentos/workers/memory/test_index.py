"""The recall index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from agentos.workers.memory.hashing import hash_embed
from agentos.workers.memory.index import AgentIndex, RecallIndex
from agentos.workers.memory.records import Entry

NOW = 1_700_000_000_000
DAY = 86_400_000


def entry(entry_id: str, content: str = "text", **fields: object) -> Entry:
    given = {"role": "user", "timestamp": NOW, "last_accessed": NOW, **fields}
    return Entry(id=entry_id, agent_id="a", content=content, **given)  # type: ignore[arg-type]


def index_of(*entries: Entry) -> AgentIndex:
    index = AgentIndex()
    for one in entries:
        index.put(one)
    return index


async def ids(index: AgentIndex, query: str, limit: int = 10, embed: bool = False) -> list[str]:
    vector = hash_embed(query) if embed else []
    return [scored.item.id for scored in await index.search(query, vector, limit, NOW)]


async def test_memory_case_7_words_and_freshness() -> None:
    index = index_of(
        entry("aws", "How to deploy to AWS Lambda"),
        entry("react", "React component lifecycle methods"),
    )
    assert await ids(index, "React lifecycle") == ["react", "aws"]
    index = index_of(entry("old", timestamp=NOW - 7 * DAY), entry("new"))
    assert await ids(index, "text") == ["new", "old"]


async def test_memory_case_6_scores() -> None:
    (scored,) = await index_of(entry("e", "hello world")).search("hello world", [], 1, NOW)
    assert scored.score == pytest.approx(0.45)
    vector = hash_embed("hello world")
    index = index_of(entry("e", "hello world", embedding=vector))
    (scored,) = await index.search("hello world", vector, 1, NOW)
    assert scored.score == pytest.approx(0.95, abs=1e-6)
    (scored,) = await index.search("hello world", vector[:64], 1, NOW)  # of another model
    assert scored.score == pytest.approx(0.45)


async def test_equal_scores_keep_the_order_of_storing() -> None:
    index = index_of(*(entry(str(i)) for i in range(1000)))
    assert await ids(index, "text", 200) == [str(i) for i in range(200)]


async def test_size_follows_the_entries() -> None:
    index = index_of(entry("a", "x" * 100, embedding=[1.0] * 10))
    full = index.size
    assert full > 140
    index.put(entry("a", "Y"))  # kept twice: as it is and in lower case
    assert 0 < index.size < full
    index.remove("a")
    index.remove("a")
    assert (index.size, len(index)) == (0, 0)


async def test_other_work_gets_its_turn() -> None:
    index = index_of(*(entry(str(i), "some text " * 20) for i in range(2000)))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count())
    await index.search("text", [], 10, NOW)
    task.cancel()
    assert turns >= 4


class Source:
    """Gives entries when the test lets it, and counts how often it was asked."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = list(entries)
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> list[Entry]:
        self.loads += 1
        read = list(self.entries)
        await self.gate.wait()
        return read


async def test_loads_once_for_many() -> None:
    source, cache = Source(entry("a")), RecallIndex()
    found = await asyncio.gather(*(cache.of("agent", source) for _ in range(5)))
    assert source.loads == 1
    assert len({id(index) for index in found}) == 1


async def test_changes_while_loading_win() -> None:
    source, cache = Source(entry("a"), entry("b", "before")), RecallIndex()
    source.gate.clear()
    task = asyncio.create_task(cache.of("agent", source))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cache.remove("agent", "a")
    cache.put("agent", entry("b", "after"))
    cache.put("agent", entry("c"))
    source.gate.set()
    assert [(item.id, item.content) for item in await task] == [("b", "after"), ("c", "text")]


async def test_what_was_read_before_a_drop_is_not_kept() -> None:
    source, cache = Source(entry("a")), RecallIndex()
    source.gate.clear()
    task = asyncio.create_task(cache.of("agent", source))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cache.drop_all()
    source.gate.set()
    assert len(await task) == 1
    assert "agent" not in cache


async def test_a_failed_load_is_told_and_tried_again() -> None:
    async def fail() -> list[Entry]:
        raise ValueError("no state")

    cache = RecallIndex()
    with pytest.raises(ValueError, match="no state"):
        await cache.of("agent", fail)
    assert len(await cache.of("agent", Source(entry("a")))) == 1


async def test_a_cancelled_asker_does_not_stop_the_others() -> None:
    source, cache = Source(entry("a")), RecallIndex()
    source.gate.clear()
    first = asyncio.create_task(cache.of("agent", source))
    second = asyncio.create_task(cache.of("agent", source))
    await asyncio.sleep(0)
    first.cancel()
    source.gate.set()
    assert len(await second) == 1


async def test_idle_agents_are_dropped() -> None:
    now = 0.0
    dropped: list[str] = []
    cache = RecallIndex(idle_s=600, clock=lambda: now)
    cache.on_drop = dropped.append
    await cache.of("idle", Source(entry("a")))
    await cache.of("busy", Source(entry("a")))
    now = 500
    await cache.of("busy", Source())
    now = 601
    cache.drop_idle()
    assert ("idle" in cache, "busy" in cache, dropped) == (False, True, ["idle"])


async def test_dropping_happens_by_itself() -> None:
    gone = asyncio.Event()
    cache = RecallIndex(idle_s=0.01)
    cache.on_drop = lambda agent_id: gone.set()
    await cache.of("agent", Source(entry("a")))
    await asyncio.wait_for(gone.wait(), 5)
    assert "agent" not in cache


async def test_the_longest_unused_go_when_it_gets_too_big() -> None:
    cache = RecallIndex(budget=3000)
    for name in ("one", "two", "three"):
        await cache.of(name, Source(entry("a", "x" * 500)))
    assert [name for name in ("one", "two", "three") if name in cache] == ["two", "three"]
    big = await cache.of("big", Source(entry("a", "x" * 5000)))
    assert (len(big), "big" in cache, cache.size) == (1, False, 0)


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


async def test_ten_thousand_entries_are_searched_in_time() -> None:
    vector = hash_embed("a query about deployment")
    text = "the deployment of the service failed in the second region " * 4
    index = index_of(*(entry(str(i), f"{i} {text}", embedding=vector) for i in range(10_000)))
    assert index.size < 15_000_000
    seconds = await timed(lambda: index.search("a query about deployment", vector, 10, NOW))
    assert seconds < 8
