"""Keeping a long turn inside the model's context window."""

from __future__ import annotations

import logging

from msgspec import Struct

from agentos.workers.agent_core.models import JsonObject, Message
from agentos.workers.agent_core.peers import Peers
from agentos.workers.agent_core.settings import (
    CONTEXT_EVERY_ROUNDS,
    CONTEXT_WINDOW,
    HEALTHY_CONTEXT,
    UPKEEP_SECONDS,
)
from iii_sdk import BusError

log = logging.getLogger("agentos.agent_core")

COMPRESSED_SHARE = 0.7


class ModelEntry(Struct, rename="camel"):
    """What the catalogue says about a model, as far as it matters here."""

    id: str = ""
    provider: str = ""
    context_window: int = 0
    supports_vision: bool = True


class _Health(Struct):
    overall: float = 100


class _Compressed(Struct):
    compressed: list[Message] | None = None


async def known_model(peers: Peers, name: str) -> ModelEntry | None:
    """The catalogue's entry of a model; None when it has none."""
    if not name or not peers.has("catalog::resolve"):
        return None
    try:
        return await peers.bus.call("catalog::resolve", {"model": name}, kind=ModelEntry)
    except BusError as error:
        log.debug("model %s is not in the catalogue: %s", name, error)
        return None


def window_of(entry: ModelEntry | None, route: JsonObject) -> int:
    """The context window in tokens: the catalogue's, else estimated from the route."""
    if entry is not None and entry.context_window > 0:
        return entry.context_window
    limit = route.get("maxTokens")
    return limit * 50 if isinstance(limit, int) and limit > 0 else CONTEXT_WINDOW


async def kept_healthy(
    peers: Peers, agent_id: str, messages: list[Message], window: int, rounds: int
) -> list[Message]:
    """The messages, compressed when it is time to look and they have become unhealthy."""
    if rounds % CONTEXT_EVERY_ROUNDS or not peers.has("context::health"):
        return messages
    try:
        health = await peers.bus.call(
            "context::health",
            {"messages": messages, "maxTokens": window},
            kind=_Health,
            timeout=UPKEEP_SECONDS,
        )
        if health.overall >= HEALTHY_CONTEXT:
            return messages
        asked = {
            "messages": messages,
            "targetTokens": int(COMPRESSED_SHARE * window),
            "agentId": agent_id,
        }
        answer = await peers.bus.call(
            "context::compress", asked, kind=_Compressed, timeout=UPKEEP_SECONDS
        )
    except BusError as error:
        log.warning("context upkeep of %s failed: %s", agent_id, error)
        return messages
    return answer.compressed or messages
