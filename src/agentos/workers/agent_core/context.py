"""What a turn knows before it begins: memories, the user's profile, the session so far."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Literal

import msgspec
from msgspec import Struct

from agentos.workers.agent_core.models import JsonObject, Message
from agentos.workers.agent_core.peers import Peers
from agentos.workers.agent_core.prompt import Fact
from agentos.workers.agent_core.settings import (
    HISTORY_TURNS,
    PROFILE_CACHE_MS,
    PROFILE_SECONDS,
    RECALL_CACHE_MS,
    RECALL_LIMIT,
    RECALL_SECONDS,
)
from iii_sdk import BusError

log = logging.getLogger("agentos.agent_core")

CACHE = "context_cache::get_or_fetch"


class _Reference(Struct):
    id: str
    role: str = "user"


class _Session(Struct):
    messages: list[_Reference] = []


class _Entry(Struct):
    content: str = ""


async def recalled(peers: Peers, agent_id: str, message: str) -> list[Fact]:
    """Memories that fit the message, best first; none when recall is not possible."""
    payload: JsonObject = {"agentId": agent_id, "query": message, "limit": RECALL_LIMIT}
    digest = hashlib.sha256(message.encode()).hexdigest()[:16]
    found = await _cached(
        peers,
        agent_id,
        f"recall:{digest}",
        ("memory::recall", payload),
        RECALL_CACHE_MS,
        RECALL_SECONDS,
    )
    facts = []
    for item in found if isinstance(found, list) else []:
        try:
            facts.append(msgspec.convert(item, Fact))
        except msgspec.ValidationError:
            log.warning("a recalled memory of %s has no text", agent_id)
    return facts


async def user_profile(peers: Peers, agent_id: str) -> JsonObject | None:
    """What is known about the user, if anything."""
    payload: JsonObject = {"agentId": agent_id}
    fetch = ("memory::user_profile::get", payload)
    found = await _cached(peers, agent_id, "user_profile", fetch, PROFILE_CACHE_MS, PROFILE_SECONDS)
    return found if isinstance(found, dict) else None


async def _cached(
    peers: Peers,
    agent_id: str,
    key: str,
    fetch: tuple[str, JsonObject],
    ttl_ms: int,
    seconds: float,
) -> object:
    """The result of a memory function, through the cache when there is one; None on failure."""
    function_id, payload = fetch
    if peers.has(CACHE):
        asked = {
            "agentId": agent_id,
            "key": key,
            "fetchFunctionId": function_id,
            "fetchPayload": payload,
            "ttlMs": ttl_ms,
        }
        try:
            return await peers.bus.call(CACHE, asked, timeout=seconds)
        except BusError as error:
            log.warning("the cache failed for %s, asking %s itself: %s", key, function_id, error)
    if not peers.has(function_id):
        return None
    try:
        return await peers.bus.call(function_id, payload, timeout=seconds)
    except BusError as error:
        log.warning("%s failed: %s", function_id, error)
        return None


async def stored_turns(peers: Peers, agent_id: str, session_id: str) -> list[Message]:
    """The dialogue of the session so far, oldest first; at most the newest `HISTORY_TURNS`."""
    state = peers.bus.state
    try:
        session = await state.get(f"sessions:{agent_id}", session_id, _Session)
        references = session.messages[-HISTORY_TURNS:] if session else []
        entries = await asyncio.gather(
            *(state.get(f"memory:{agent_id}", reference.id, _Entry) for reference in references)
        )
    except BusError as error:
        log.warning("session %s of %s cannot be read: %s", session_id, agent_id, error)
        return []
    return [
        Message(role=_role(reference.role), content=entry.content)
        for reference, entry in zip(references, entries, strict=True)
        if entry is not None and entry.content and reference.role in ("user", "assistant", "system")
    ]


def _role(role: str) -> Literal["system", "user", "assistant"]:
    if role == "assistant":
        return "assistant"
    return "system" if role == "system" else "user"
