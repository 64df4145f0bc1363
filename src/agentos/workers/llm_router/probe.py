"""Which models does a server of ours offer? Asked briefly and remembered for a while.

A refused connection, the usual case, is found out with a bare socket: the HTTP client is imported
only when something listens.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

REMEMBER_S = 15.0
PATIENCE_S = 0.4


class _ListedModel(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    data: list[_ListedModel] | None = None


class Probe:
    """Knows which models the servers at given addresses offer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, list[str]]] = {}

    async def models(self, base_url: str, key: str = "") -> list[str]:
        """Ids of the models served below `base_url`; `[]` when nothing usable answers in time."""
        now = self._clock()
        until, models = self._known.get(base_url, (0.0, []))
        if now < until:
            return models
        try:
            async with asyncio.timeout(PATIENCE_S):
                await _knock(base_url)
            await asyncio.to_thread(importlib.import_module, "httpx2")
            async with asyncio.timeout(PATIENCE_S):
                models = await _ask(base_url, key)
        except (OSError, TimeoutError):
            models = []
        self._known[base_url] = (self._clock() + REMEMBER_S, models)
        return models


async def _knock(base_url: str) -> None:
    """Raises `OSError` when nobody listens."""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    _, writer = await asyncio.open_connection(parts.hostname, port)
    writer.close()
    await writer.wait_closed()


async def _ask(base_url: str, key: str) -> list[str]:
    import httpx2

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # Plain HTTP is for servers nearby: no proxy, and no certificates to read from disk.
    secure = base_url.startswith("https:")
    async with httpx2.AsyncClient(verify=secure, trust_env=secure, timeout=PATIENCE_S) as client:
        try:
            response = await client.get(f"{base_url}/models", headers=headers)
            if response.status_code != 200:
                return []
            listed = msgspec.json.decode(response.content, type=_ModelList)
        except (httpx2.HTTPError, msgspec.DecodeError):
            # Something else listens there.
            return []
    return [model.id for model in listed.data or []]
