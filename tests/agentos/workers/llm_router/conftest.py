"""Routers over scripted servers, and a bus that only takes notes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from tests.support.anthropic_server import AnthropicServer
from tests.support.openai_server import OpenAIServer

from agentos.workers.llm_router.requests import CompleteRequest, Completion
from agentos.workers.llm_router.retry import Retry
from agentos.workers.llm_router.router import Router
from iii_sdk.errors import Unavailable

KEY = "secret-key-of-the-test"


class Notes:
    """Stands for the bus: remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def send(self, function_id: str, data: object = None) -> None:
        self.sent.append((function_id, data))

    def updates(self, scope: str) -> list[Any]:
        return [data for _, data in self.sent if data["scope"] == scope]


class Events:
    """Stands for a channel: keeps the events; with `limit` the reader leaves after so many."""

    def __init__(self, limit: int | None = None) -> None:
        self.seen: list[dict[str, Any]] = []
        self.closed = False
        self.limit = limit

    async def send_text(self, text: str) -> None:
        assert text.endswith("\n")
        assert text.count("\n") == 1
        if len(self.seen) == self.limit:
            raise Unavailable("the reader of the channel has gone", code="channel_closed")
        self.seen.append(msgspec.json.decode(text))

    async def close(self) -> None:
        self.closed = True

    @asynccontextmanager
    async def while_read(self) -> AsyncIterator[None]:
        yield

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.seen]

    @property
    def text(self) -> str:
        return "".join(event["delta"] for event in self.seen if event["type"] == "text")


@dataclass
class Desk:
    """A router with its environment and everything it did."""

    environ: dict[str, str] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)
    bus: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        self.router = Router(self.environ, Retry(sleep, lambda: 1.0))

    async def complete(self, **payload: Any) -> Completion:
        return await self.router.completions.complete(_request(payload), None, self.bus)

    async def stream(self, events: Events, **payload: Any) -> Completion:
        return await self.router.completions.stream(_request(payload), events, None, self.bus)


def _request(payload: dict[str, Any]) -> CompleteRequest:
    payload.setdefault("messages", [{"role": "user", "content": "hi"}])
    return msgspec.convert(payload, CompleteRequest)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A router with an empty environment; local servers are looked for where none can be."""
    made = Desk({"OLLAMA_BASE_URL": "http://127.0.0.1:1/v1", "VLLM_BASE_URL": "http://127.0.0.1:1"})
    yield made
    await made.router.drivers.aclose()


@pytest.fixture
async def openai(desk: Desk) -> AsyncIterator[OpenAIServer]:
    """A scripted OpenAI-compatible server that the desk's `openai` leads to."""
    async with OpenAIServer() as server:
        desk.environ.update(OPENAI_API_KEY=KEY, OPENAI_BASE_URL=server.url)
        yield server
        await desk.router.drivers.aclose()


@pytest.fixture
async def anthropic(desk: Desk) -> AsyncIterator[AnthropicServer]:
    """A scripted Anthropic server that the desk's `anthropic` leads to."""
    async with AnthropicServer() as server:
        desk.environ.update(ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=server.origin)
        yield server
        await desk.router.drivers.aclose()


@pytest.fixture
def events() -> Events:
    return Events()
