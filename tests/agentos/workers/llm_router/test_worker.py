"""The worker on a real bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from tests.support.engine import RunningEngine
from tests.support.openai_server import OpenAIServer
from tests.support.waiting import until

from agentos.workers.llm_router.catalogue import catalogue
from agentos.workers.llm_router.endpoints import provider_name
from agentos.workers.llm_router.router import Router
from agentos.workers.llm_router.worker import create
from iii_sdk import Bus, InvalidInput, NotFound, connect

API_KEY = "bearer-key-of-the-test"


@pytest.fixture
def router() -> Router:
    return Router()


@pytest.fixture
async def bus(
    engine: RunningEngine, router: Router, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bus]:
    """A client of an engine that the worker serves, in an environment without keys."""
    for provider in catalogue().providers:
        name = provider_name(provider, catalogue())
        for variable in (*name.env_keys, *name.base_url_keys, "LLM_FALLBACK"):
            monkeypatch.delenv(variable, raising=False)
    for local in ("OLLAMA", "VLLM"):
        monkeypatch.setenv(f"{local}_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("AGENTOS_API_KEY", API_KEY)
    ready = asyncio.Event()
    serving = asyncio.create_task(create(router).serve(engine.url, ready=ready))
    await ready.wait()
    async with connect(engine.url) as client:
        yield client
    await router.drivers.aclose()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
async def openai(
    bus: Bus, router: Router, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server
        await router.drivers.aclose()


async def test_a_conversation_without_any_key(bus):
    choice = await bus.call("llm::route", {"message": "Hello", "config": {}, "agentTier": None})
    assert (choice["provider"], choice["fallback"]) == ("offline", True)
    ask = {"model": choice, "systemPrompt": "", "functions": [{"function_id": "a::b"}]}
    messages = [{"role": "user", "content": '/call a::b {"x": 1}'}]
    first = await bus.call("llm::complete", {**ask, "messages": messages})
    (call,) = first["toolCalls"]
    assert (call["id"], call["arguments"]) == ("a::b", {"x": 1})
    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    messages.append({"role": "tool", "tool_call_id": call["callId"], "content": '{"y":2}'})
    last = await bus.call("llm::complete", {**ask, "messages": messages})
    assert last["content"] == 'a::b returned: {"y":2}'
    assert last["toolCalls"] == []
    assert set(last["usage"]) == {"input", "output", "total", "cacheRead", "cacheWrite"}


async def test_errors_keep_their_code(bus):
    with pytest.raises(InvalidInput, match="Unknown provider"):
        await bus.call("llm::complete", {"provider": "unknown", "messages": []})
    with pytest.raises(InvalidInput, match="messages"):
        await bus.call("llm::complete", {"model": "offline"})
    with pytest.raises(NotFound, match="Unknown model"):
        await bus.call("catalog::resolve", {"model": "nonexistent-model-xyz"})


async def test_stream_over_a_channel(bus, openai):
    openai.then_say("Hello there", pieces=["Hel", "lo ", "there"])
    channel = await bus.channel()
    asking = asyncio.create_task(
        bus.call(
            "llm::stream",
            {
                "model": {"provider": "openai", "model": "gpt-4o", "maxTokens": 50},
                "messages": [{"role": "user", "content": "hi"}],
                "writer": channel.writer_ref,
            },
        )
    )
    events = [json.loads(frame) async for frame in channel.reader]
    types = [event["type"] for event in events]
    assert types == ["start", "text", "text", "text", "usage", "end"]
    assert (await asking)["content"] == "Hello there"


async def test_usage_and_costs_are_kept_in_state(bus, openai):
    payload = {"provider": "openai", "model": "gpt-4o", "messages": []}
    before = _row(await bus.call("llm::usage", {}))
    await bus.call("llm::complete", payload)
    await bus.call("llm::complete", payload)

    async def counted():
        kept = await bus.state.get("llm_usage", "openai:gpt-4o")
        return kept is not None and kept["requests"] == 2 and kept

    kept = await until(counted)
    assert (kept["provider"], kept["model"], kept["input_tokens"]) == ("openai", "gpt-4o", 20)
    (day,) = await until(lambda: bus.state.list("costs"))
    assert day["totalCalls"] == day["gpt-4o.calls"] == 2
    assert day["totalCostNanos"] == 2 * (10 * 2500 + 20 * 10_000)
    assert _row(await bus.call("llm::usage", {})) >= before + 2


def _row(report):
    rows = [row for row in report["stats"] if row["model"] == "gpt-4o"]
    return rows[0]["requests"] if rows else 0


async def test_llm_router_case_11_providers(bus, monkeypatch):
    listed = (await bus.call("llm::providers", {}))["providers"]
    rows = {row["name"]: row for row in listed}
    assert len(rows) >= 10
    assert {"anthropic", "openai", "google", "ollama", "offline"} <= set(rows)
    assert rows["ollama"]["configured"]
    assert not rows["openai"]["configured"]
    assert rows["google"]["aliases"] == ["gemini"]
    assert "gpt-4o" in rows["openai"]["models"]
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    rows = {r["name"]: r for r in (await bus.call("llm::providers", {}))["providers"]}
    assert rows["openai"]["configured"]


async def test_llm_router_case_13_models(bus):
    assert len(await bus.call("catalog::models", {})) == 47
    ours = {"tier": "smart", "provider": "anthropic"}
    (sonnet,) = await bus.call("catalog::models", ours)
    assert sonnet["id"] == sonnet["apiModel"] == "claude-sonnet-4-6"
    assert sonnet["cacheReadPrice"] == 0.3


async def test_llm_router_case_15_providers_of_the_catalogue(bus):
    rows = {row["id"]: row for row in await bus.call("catalog::providers", {})}
    assert len(rows) == 27
    assert rows["anthropic"]["modelCount"] == 3
    assert rows["ollama"]["local"]
    assert rows["ollama"]["available"]
    assert (rows["bedrock"]["driver"], rows["gemini"]["driver"]) == ("bedrock", "gemini")
    tested = await bus.call("catalog::provider_test", {"providerId": "anthropic"})
    assert tested == {"reachable": False, "reason": "ANTHROPIC_API_KEY not set"}


async def test_a_provider_that_answers_is_tested(bus, openai):
    tested = await bus.call("catalog::provider_test", {"providerId": "openai"})
    assert tested["reachable"]
    assert tested["authenticated"]
    assert tested["latencyMs"] >= 0
    origin = openai.origin
    await openai.stop()
    tested = await bus.call("catalog::provider_test", {"providerId": "openai"})
    assert tested == {"reachable": False, "reason": f"{origin} cannot be reached"}


async def test_routes_over_http(bus, engine):
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with httpx2.AsyncClient(base_url=engine.http_url, headers=headers) as client:
        query = {"provider": "perplexity", "supportsTools": "false"}
        models = (await client.get("/api/models", params=query)).json()
        assert [model["id"] for model in models] == ["sonar-pro", "sonar"]
        assert (await client.get("/api/models/aliases")).json()["opus"] == "claude-opus-4-6"
        assert len((await client.get("/api/providers")).json()) == 27
        tested = await client.post("/api/providers/groq/test")
        assert tested.json()["reason"] == "GROQ_API_KEY not set"
        refused = await client.get("/api/models", headers={"authorization": "Bearer wrong"})
        assert refused.status_code == 401
