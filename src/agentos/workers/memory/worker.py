"""The worker `memory`: what it offers. Each handler lives in the file of its subject."""

from __future__ import annotations

from functools import partial

from msgspec import Struct

from agentos.kernel.clock import Clock, now_ms
from agentos.workers.memory import graph, sessions
from agentos.workers.memory.compaction import Compactor
from agentos.workers.memory.entries import Entries
from agentos.workers.memory.hashing import hash_embed
from agentos.workers.memory.index import RecallIndex
from agentos.workers.memory.profiles import Profiles
from agentos.workers.memory.reflection import Reflection
from agentos.workers.memory.repair import Repairer
from agentos.workers.memory.session_search import SessionSearch
from agentos.workers.memory.upkeep import Upkeep
from agentos.workers.memory.watching import CHANGED
from iii_sdk import Worker, cron, http


class Embed(Struct):
    """A text to make a vector of."""

    text: str = ""


async def embed(request: Embed) -> list[float]:
    """A vector of 128 numbers made of word hashes; needs no model."""
    return hash_embed(request.text)


def create(clock: Clock = now_ms) -> Worker:
    """A new worker; the recall index is its own."""
    worker = Worker("memory", description="Long-term memory of agents")
    function = partial(worker.function, metadata={"category": "memory"})
    index = RecallIndex()

    entries = Entries(index, clock)
    function("memory::store", http("POST", "/api/memory/store"), aliases=("memory::remember",))(
        entries.store
    )
    function("memory::recall", http("POST", "/api/memory/recall"))(entries.recall)
    function("memory::search", aliases=("memory::query",))(entries.search)
    function("memory::forget", aliases=("memory::delete",))(entries.forget)
    function("memory::embed")(embed)
    function(CHANGED)(entries.watcher.changed)

    function("memory::session::list")(sessions.list_sessions)
    function("memory::session::compact")(Compactor(index, clock).compact)
    function("memory::session::repair")(Repairer(index, clock).repair)
    function(
        "memory::session_search",
        http("POST", "/api/memory/session-search"),
        http("POST", "/api/memory/search"),
    )(SessionSearch(entries, clock).search)

    function("memory::kg::add")(graph.add)
    function("memory::kg::query")(graph.query)

    upkeep = Upkeep(index, clock)
    function("memory::evict", cron("0 0 3 * * *"))(upkeep.evict)
    function("memory::consolidate", cron("0 0 */6 * * *"))(upkeep.consolidate)

    profiles = Profiles(clock)
    function("memory::user_profile::update", http("POST", "/api/memory/profile/update"))(
        profiles.update
    )
    function("memory::user_profile::get", http("GET", "/api/memory/profile/:agentId"))(profiles.get)

    reflection = Reflection(entries, clock)
    reflect = partial(worker.function, metadata={"category": "reflect"})
    reflect("reflect::check_turn", http("POST", "/api/reflect/check"))(reflection.check_turn)
    reflect("reflect::curate_memory", http("POST", "/api/reflect/curate"))(reflection.curate)
    reflect("reflect::discover_skills", http("POST", "/api/reflect/discover-skills"))(
        reflection.discover
    )
    return worker


worker = create()
