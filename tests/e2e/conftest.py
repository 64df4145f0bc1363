"""The whole chat on a real engine in this process: five workers and a scripted model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest
from tests.support.engine import RunningEngine
from tests.support.openai_server import OpenAIServer
from tests.support.served import served

from agentos.workers.agent_core.worker import create as agent_core
from agentos.workers.api.worker import create as api
from agentos.workers.llm_router.router import Router
from agentos.workers.llm_router.worker import create as llm_router
from agentos.workers.memory.worker import create as memory
from agentos.workers.security.worker import create as security
from iii_sdk import Bus

KEY = "the-key"
PROVIDER_VARIABLES = ("ANTHROPIC_API_KEY", "LLM_FALLBACK", "OLLAMA_BASE_URL", "VLLM_BASE_URL")


@dataclass
class House:
    """`client` is the official client; `model` is what the house asks in turn."""

    client: openai.AsyncOpenAI
    model: OpenAIServer
    bus: Bus
    engine: RunningEngine

    def client_with(self, key: str) -> openai.AsyncOpenAI:
        return _client(self.engine, key)


@pytest.fixture
async def house(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[House]:
    monkeypatch.setenv("AGENTOS_HOME", str(tmp_path))
    monkeypatch.setenv("AGENTOS_API_KEY", KEY)
    for name in PROVIDER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    router = Router()
    async with OpenAIServer() as model:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("OPENAI_BASE_URL", model.url)
        workers = [llm_router(router), memory(), security(), agent_core(), api()]
        async with served(engine, *reversed(workers)) as bus, _client(engine, KEY) as client:
            yield House(client, model, bus, engine)
        await router.drivers.aclose()


def _client(engine: RunningEngine, key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{engine.http_url}/v1", api_key=key, max_retries=0)
