"""Which model really answers, given what is configured."""

from __future__ import annotations

import msgspec
import pytest

from agentos.workers.llm_router.requests import RouteRequest

KEYLESS = {"provider": "offline", "model": "offline", "fallback": True}


async def route(desk, **payload):
    payload = payload or {"message": "hi"}
    choice = await desk.router.route(msgspec.convert(payload, RouteRequest), None)
    return msgspec.to_builtins(choice)


async def test_llm_router_case_1_with_a_key(desk):
    desk.environ["ANTHROPIC_API_KEY"] = "k"
    assert await route(desk, messages=[{"role": "user", "content": "hi"}], tools=[]) == {
        "provider": "anthropic",
        "model": "claude-haiku-4-5-20251001",
        "maxTokens": 2048,
        "complexity": 0,
    }


async def test_llm_router_case_5_exactly_those_three(desk):
    desk.environ.update(OPENAI_API_KEY="k", ANTHROPIC_API_KEY="k")
    config = {"provider": "openai", "model": "gpt-4o", "maxTokens": 16384}
    assert await route(desk, message="anything", config=config) == config


async def test_without_anything_the_offline_provider_answers(desk):
    assert (await route(desk)).items() >= KEYLESS.items()
    config = {"provider": "openai", "model": "gpt-4o", "maxTokens": None}
    assert (await route(desk, message="x", config=config)).items() >= KEYLESS.items()


async def test_the_offline_provider_can_be_chosen(desk):
    desk.environ["ANTHROPIC_API_KEY"] = "k"
    choice = await route(desk, message="x", config={"model": "offline"})
    assert choice == {"provider": "offline", "model": "offline", "maxTokens": 4096}


@pytest.mark.parametrize(
    ("keys", "provider", "model"),
    [
        (["OPENAI_API_KEY", "GROQ_API_KEY"], "openai", "gpt-4o-mini"),
        (["GROQ_API_KEY"], "groq", "llama-3.3-70b"),
        (["GOOGLE_API_KEY", "DEEPSEEK_API_KEY"], "deepseek", "deepseek-chat"),
        (["MISTRAL_API_KEY"], "mistral", "mistral-large"),
        (["HF_TOKEN", "GITHUB_TOKEN", "AWS_ACCESS_KEY_ID"], "offline", "offline"),
    ],
)
async def test_the_first_configured_provider_takes_over(desk, keys, provider, model):
    desk.environ.update(dict.fromkeys(keys, "k"))
    choice = await route(desk)
    assert (choice["provider"], choice["model"], choice["fallback"]) == (provider, model, True)


async def test_the_walk_can_be_set(desk):
    desk.environ.update(OPENAI_API_KEY="k", GROQ_API_KEY="k")
    desk.environ["LLM_FALLBACK"] = "nonsense, anthropic, groq/mixtral-8x7b-32768, openai"
    assert (await route(desk))["model"] == "mixtral-8x7b-32768"
    desk.environ["LLM_FALLBACK"] = ""
    assert (await route(desk))["provider"] == "offline"
    desk.environ["LLM_FALLBACK"] = "offline,openai"
    assert (await route(desk))["provider"] == "offline"


async def test_a_local_server_that_answers(desk, openai):
    del desk.environ["OPENAI_API_KEY"]
    desk.environ["VLLM_BASE_URL"] = openai.url
    choice = await route(desk)
    assert (choice["provider"], choice["model"]) == ("vllm", "gpt-4o")
    await route(desk)
    assert [request.path for request in openai.requests] == ["/v1/models"]


async def test_a_moved_provider_is_asked_what_it_has(desk, openai):
    assert (await route(desk))["model"] == "gpt-4o-mini"
    desk.environ["OPENAI_MODEL"] = "my-model"
    assert (await route(desk))["model"] == "my-model"


async def test_a_moved_provider_without_our_models(desk, openai):
    openai.models = ("qwen3", "phi4")
    choice = await route(desk)
    assert (choice["provider"], choice["model"]) == ("openai", "qwen3")
    assert openai.requests[0].headers["authorization"].startswith("Bearer ")
    wished = await route(desk, message="x", config={"provider": "openai"})
    assert (wished["model"], wished.get("fallback")) == ("qwen3", None)
    named = await route(desk, message="x", config={"provider": "openai", "model": "gpt-4o"})
    assert named["model"] == "gpt-4o"


async def test_a_preference_only_a_server_of_ours_knows(desk, openai):
    openai.models = ("qwen3", "phi4")
    choice = await route(desk, message="x", model="phi4")
    assert (choice["provider"], choice["model"]) == ("openai", "phi4")
    assert "fallback" not in choice
    desk.environ["ANTHROPIC_API_KEY"] = "k"
    choice = await route(desk, messages=[{"role": "user", "content": "x"}], model="phi4")
    assert (choice["provider"], choice["model"]) == ("openai", "phi4")
    assert (await route(desk, message="x", model="unknown"))["provider"] == "anthropic"


async def test_a_preference_beats_a_provider_without_a_model(desk, openai):
    config = {"provider": "openai"}
    assert (await route(desk, message="x", model="offline", config=config))["model"] == "offline"
    assert (await route(desk, message="x", model="gpt-4.1", config=config))["model"] == "gpt-4.1"


async def test_a_named_local_provider_without_a_model(desk, openai):
    desk.environ["VLLM_BASE_URL"] = openai.url
    choice = await route(desk, message="x", config={"provider": "vllm"})
    assert (choice["provider"], choice["model"]) == ("vllm", "gpt-4o")


async def test_a_server_without_models_is_none(desk, openai):
    del desk.environ["OPENAI_API_KEY"]
    openai.models = ()
    desk.environ["OLLAMA_BASE_URL"] = openai.url
    assert (await route(desk))["provider"] == "offline"


async def test_an_unknown_provider_is_left_to_complete(desk):
    choice = await route(desk, message="x", config={"provider": "nobody", "model": "m"})
    assert choice == {"provider": "nobody", "model": "m", "maxTokens": 4096}


async def test_the_tier_table_comes_from_the_environment(desk):
    desk.environ.update(OPENAI_API_KEY="k", LLM_MODEL_FAST="openai/gpt-5-nano")
    choice = await route(desk)
    assert (choice["provider"], choice["model"]) == ("openai", "gpt-5-nano")
    assert "fallback" not in choice
