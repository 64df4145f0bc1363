"""Talking to published clients, and looking at what the engine knows of them."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.engine import RunningEngine
from tests.support.published import PublishedClient

#: Starts a client of `CLIENTS`: kind, address (the engine's), name (the kind; "" for its default).
Start = Callable[..., Awaitable[PublishedClient]]


def bound(engine: RunningEngine) -> set[str]:
    """The functions that triggers call."""
    return {trigger.function_id for trigger in engine.core.triggers}


def names(engine: RunningEngine) -> list[str]:
    """The workers that are connected."""
    return [session.name for session in engine.core.sessions.values()]


async def ask(client: PublishedClient, function_id: str, payload: Any = None, **more: Any) -> Any:
    """Have the client call; what it reported."""
    return await asyncio.to_thread(client.call, function_id, payload, **more)


async def fetch(url: str, body: Any = None) -> tuple[int, Any]:
    """Status and body of a GET, or of a POST of JSON."""

    def request() -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(url, data, {"content-type": "application/json"})
        with urllib.request.urlopen(asked, timeout=10) as response:
            return response.status, response.read()

    return await asyncio.to_thread(request)
