"""The recall index: the entries of the agents in use, in this process, ready to be scored.

Filled from state at the first recall of an agent and kept current by the events of its scope.
Bounded: agents that were idle for ten minutes are dropped, and the longest unused ones when the
whole grows over its budget.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from operator import attrgetter

from msgspec import Struct

from agentos.workers.memory.records import Entry
from agentos.workers.memory.scoring import dot, found_words, query_words, recall_score, unit

IDLE_S = 600.0
#: Bytes, by estimate, of all indexed agents together.
BUDGET = 48 * 1024 * 1024
#: Entries scored before other work gets its turn: a few milliseconds.
SLICE = 400
#: Objects that belong to one item, in bytes, beside its text and vector.
OVERHEAD = 600


class Item(Struct, eq=False):
    """One entry as it is scored. `vector` has length 1, or is empty."""

    id: str
    role: str
    content: str
    lowered: str
    session_id: str | None
    timestamp: int
    importance: float
    confidence: float
    vector: array[float]

    @property
    def size(self) -> int:
        """Bytes, by estimate."""
        texts = len(self.content) + (0 if self.lowered is self.content else len(self.lowered))
        return texts + 4 * len(self.vector) + OVERHEAD


class Scored(Struct, order=True):
    """An item and how well it answers."""

    score: float
    item: Item


def item_of(entry: Entry) -> Item:
    """What the index keeps of an entry."""
    lowered = entry.content.lower()
    return Item(
        id=entry.id,
        role=entry.role,
        content=entry.content,
        lowered=entry.content if lowered == entry.content else lowered,
        session_id=entry.session_id,
        timestamp=entry.timestamp,
        importance=entry.importance,
        confidence=entry.confidence,
        vector=array("f", unit(entry.embedding or [])),
    )


class AgentIndex:
    """All entries of one agent, in the order in which they were stored."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def put(self, entry: Entry) -> None:
        """Add an entry or replace it in its place."""
        old = self._items.get(entry.id)
        if old is not None:
            self.size -= old.size
        item = item_of(entry)
        self._items[entry.id] = item
        self.size += item.size

    def remove(self, entry_id: str) -> None:
        """Forget an entry; one that is not there is no error."""
        old = self._items.pop(entry_id, None)
        if old is not None:
            self.size -= old.size

    async def search(
        self, query: str, vector: Sequence[float], limit: int, now_ms: int
    ) -> list[Scored]:
        """The `limit` best entries, best first; of equals the one stored earlier.

        `vector` is the embedding of the query, or empty. Other work gets its turn between slices.
        """
        words = query_words(query)
        direction = unit(vector)
        best: list[Scored] = []
        items = list(self._items.values())
        for start in range(0, len(items), SLICE):
            if start:
                await asyncio.sleep(0)
            best += (
                Scored(_score(item, words, direction, now_ms), item)
                for item in items[start : start + SLICE]
            )
            # `nlargest` is stable, as `sorted` is: of equals the first stays first.
            best = heapq.nlargest(limit, best, key=attrgetter("score"))
        return best


def _score(item: Item, words: list[str], direction: list[float], now_ms: int) -> float:
    comparable = len(direction) == len(item.vector)
    return recall_score(
        meaning=dot(direction, item.vector) if comparable else 0.0,
        words=found_words(words, item.lowered),
        age_ms=now_ms - item.timestamp,
        importance=item.importance,
        confidence=item.confidence,
    )


class _Loading:
    """An index being filled, and what happened to its agent meanwhile: newer than what is read."""

    def __init__(self) -> None:
        self.task: asyncio.Task[AgentIndex] | None = None
        self.changes: dict[str, Entry | None] = {}


class RecallIndex:
    """The indexed agents. `idle_s` in seconds, `budget` in bytes, `clock` in seconds."""

    def __init__(
        self,
        *,
        idle_s: float = IDLE_S,
        budget: int = BUDGET,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle = idle_s
        self._budget = budget
        self._clock = clock
        #: Told the agent that is not indexed any more.
        self.on_drop: Callable[[str], None] = lambda agent_id: None
        self._agents: OrderedDict[str, AgentIndex] = OrderedDict()  # least recently used first
        self._used: dict[str, float] = {}
        self._loading: dict[str, _Loading] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __contains__(self, agent_id: str) -> bool:
        return agent_id in self._agents

    @property
    def size(self) -> int:
        """Bytes, by estimate."""
        return sum(index.size for index in self._agents.values())

    async def of(self, agent_id: str, load: Callable[[], Awaitable[list[Entry]]]) -> AgentIndex:
        """The index of an agent. `load` reads its entries when it is not there.

        An index beyond the budget still answers, but is not kept.
        """
        index = self._agents.get(agent_id)
        if index is None:
            index = await self._filled(agent_id, load)
        if agent_id in self._agents:
            self._agents.move_to_end(agent_id)
            self._used[agent_id] = self._clock()
        self._shrink()
        self._sweep_later()
        return index

    async def _filled(
        self, agent_id: str, load: Callable[[], Awaitable[list[Entry]]]
    ) -> AgentIndex:
        """Load an agent once, however many ask for it meanwhile."""
        loading = self._loading.get(agent_id)
        if loading is None:
            loading = self._loading[agent_id] = _Loading()
            loading.task = asyncio.create_task(self._fill(agent_id, loading, load))
        assert loading.task is not None
        return await asyncio.shield(loading.task)

    async def _fill(
        self, agent_id: str, loading: _Loading, load: Callable[[], Awaitable[list[Entry]]]
    ) -> AgentIndex:
        index = AgentIndex()
        try:
            for entry in await load():
                index.put(entry)
            for entry_id, changed in loading.changes.items():
                _apply(index, entry_id, changed)
        finally:
            # Not ours any more after `drop_all`: then what was read may be outdated.
            current = self._loading.get(agent_id) is loading
            if current:
                del self._loading[agent_id]
        if current:
            self._agents[agent_id] = index
        return index

    def put(self, agent_id: str, entry: Entry) -> None:
        """An entry was stored or changed; agents that are not indexed do not care."""
        self._change(agent_id, entry.id, entry)

    def remove(self, agent_id: str, entry_id: str) -> None:
        """An entry was deleted."""
        self._change(agent_id, entry_id, None)

    def _change(self, agent_id: str, entry_id: str, entry: Entry | None) -> None:
        if (loading := self._loading.get(agent_id)) is not None:
            loading.changes[entry_id] = entry
        if (index := self._agents.get(agent_id)) is not None:
            _apply(index, entry_id, entry)

    def drop(self, agent_id: str) -> None:
        """Forget an agent; its next recall reads it anew."""
        if self._agents.pop(agent_id, None) is not None:
            self._used.pop(agent_id, None)
            self.on_drop(agent_id)

    def drop_all(self) -> None:
        """Forget everything, for instance when changes may have been missed."""
        self._loading.clear()
        for agent_id in list(self._agents):
            self.drop(agent_id)

    def drop_idle(self) -> None:
        """Forget the agents that were not used for the idle time."""
        oldest = self._clock() - self._idle
        for agent_id in [agent for agent, used in self._used.items() if used <= oldest]:
            self.drop(agent_id)

    def _sweep_later(self) -> None:
        """Look for idle agents when one can have become idle, as long as there are agents."""
        if self._sweep is None and self._agents:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self._idle, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweep = None
        self.drop_idle()
        self._sweep_later()

    def _shrink(self) -> None:
        while self._agents and self.size > self._budget:
            self.drop(next(iter(self._agents)))


def _apply(index: AgentIndex, entry_id: str, entry: Entry | None) -> None:
    if entry is None:
        index.remove(entry_id)
    else:
        index.put(entry)
