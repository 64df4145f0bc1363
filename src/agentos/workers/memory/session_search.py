"""Finding sessions by the words said in them."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from agentos.kernel.clock import Clock, now_ms
from agentos.kernel.ids import require_id
from agentos.workers.memory.entries import Entries
from agentos.workers.memory.index import Item
from agentos.workers.memory.scoring import found_words, query_words, search_score
from iii_sdk import Bus, InvalidInput

MAX_RESULTS = 100
HIGHLIGHTS = 3
HIGHLIGHT_LENGTH = 200


class SearchSessions(Struct, rename="camel"):
    """`limit` is clamped to 1..100."""

    agent_id: str = ""
    query: str = ""
    limit: int = 10


class SessionHit(Struct, rename="camel"):
    """A session, how many of its messages match, and the beginnings of the first three."""

    session_id: str
    match_count: int
    top_score: float
    highlights: list[str]


def search(items: Iterable[Item], query: str, limit: int, now: int) -> list[SessionHit]:
    """The sessions with at least one word of the query, best first."""
    words = query_words(query)
    hits: dict[str, SessionHit] = {}
    for item in items:
        if item.session_id is None or not (part := found_words(words, item.lowered)):
            continue
        hit = hits.setdefault(item.session_id, SessionHit(item.session_id, 0, 0.0, []))
        hit.match_count += 1
        hit.top_score = max(hit.top_score, search_score(part, now - item.timestamp))
        if len(hit.highlights) < HIGHLIGHTS:
            hit.highlights.append(item.content[:HIGHLIGHT_LENGTH])
    return sorted(hits.values(), key=lambda hit: hit.top_score, reverse=True)[:limit]


class SessionSearch:
    """`memory::session_search`."""

    def __init__(self, entries: Entries, clock: Clock = now_ms) -> None:
        self._entries = entries
        self._clock = clock

    async def search(self, request: SearchSessions, bus: Bus) -> list[SessionHit]:
        """Find the sessions of an agent in which the words of a query were said."""
        agent_id = require_id(request.agent_id, "agentId")
        if not request.query.strip():
            raise InvalidInput("query is required")
        limit = min(max(request.limit, 1), MAX_RESULTS)
        index = await self._entries.indexed(agent_id, bus)
        return search(index, request.query, limit, self._clock())
