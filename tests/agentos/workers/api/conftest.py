"""The `api` worker on a real engine; the workers behind it are stand-ins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from tests.support.engine import RunningEngine
from tests.support.served import StandIn, served

from agentos.kernel.draining import DrainingWorker
from agentos.workers.api.worker import create
from iii_sdk import Bus

KEY = "the-key"
CHAT = {
    "content": "Hi there",
    "model": "claude-sonnet-4-6",
    "usage": {"input": 10, "output": 20, "total": 30, "cacheRead": 0, "cacheWrite": 0},
    "iterations": 0,
    "durationMs": 1,
    "sessionId": "s",
    "stopReason": "end",
}


@dataclass
class Face:
    """`web` sends the key; `behind` holds what the other workers answer and were asked."""

    web: httpx2.AsyncClient
    behind: StandIn
    bus: Bus
    worker: DrainingWorker

    @property
    def chats(self) -> list[Any]:
        return self.behind.asked("agent::chat")

    async def complete(self, *contents: str, **fields: Any) -> httpx2.Response:
        """Ask with a conversation of alternating roles."""
        messages = [
            {"role": ("user", "assistant")[n % 2], "content": text}
            for n, text in enumerate(contents)
        ]
        return await self.web.post("/v1/chat/completions", json={"messages": messages, **fields})


@pytest.fixture
async def face(engine: RunningEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Face]:
    monkeypatch.setenv("AGENTOS_API_KEY", KEY)
    monkeypatch.delenv("TRUSTED_PROXY_COUNT", raising=False)
    behind = StandIn(
        {
            "agent::chat": CHAT,
            "agent::list": [{"id": "a"}],
            "agent::create": {"agentId": "a"},
            "agent::delete": {"deleted": True},
            "memory::recall": [{"content": "m"}],
            "rate::check": {"allowed": True},
            "catalog::models": [{"id": "gpt-4o", "provider": "openai"}],
        }
    )
    worker = create()
    async with served(engine, behind.worker, worker) as bus:
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx2.AsyncClient(base_url=engine.http_url, headers=headers) as web:
            yield Face(web, behind, bus, worker)
