"""Names, profiles, keys and base URLs of providers."""

from __future__ import annotations

import pytest

from agentos.workers.llm_router.catalogue import catalogue
from agentos.workers.llm_router.endpoints import base_url, endpoint, provider_name
from agentos.workers.llm_router.keys import KeyRing
from iii_sdk.errors import InvalidInput, NotConfigured

BOOK = catalogue()


async def reach(name, **environ):
    return await endpoint(provider_name(name, BOOK), environ, KeyRing(environ), None)


async def test_published_and_called_addresses_differ():
    assert (await reach("openai", OPENAI_API_KEY="k")).base_url == "https://api.openai.com/v1"
    cohere = await reach("cohere", COHERE_API_KEY="k")
    assert cohere.base_url == "https://api.cohere.ai/compatibility/v1"
    assert (await reach("ollama")).base_url == "http://localhost:11434/v1"
    assert (await reach("ollama")).key == ""


async def test_the_environment_moves_a_provider():
    there = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1/", "OPENAI_API_KEY": "k"}
    assert (await reach("openai", **there)).base_url == "http://127.0.0.1:9/v1"
    assert base_url(provider_name("google", BOOK), {"GOOGLE_BASE_URL": "http://g"}) == "http://g"


async def test_a_profile_has_its_own_key_and_address():
    environ = {
        "OPENAI_API_KEY": "main",
        "OPENAI_BASE_URL": "http://main/v1",
        "OPENAI_API_KEY_MY_TEAM": "team",
        "OPENAI_BASE_URL_MY_TEAM": "http://team/v1",
    }
    team = await reach("openai@my-team", **environ)
    assert (team.label, team.base_url, team.key) == ("openai@my-team", "http://team/v1", "team")
    with pytest.raises(NotConfigured, match="OPENAI_API_KEY_OTHER not set"):
        await reach("openai@other", **environ)


async def test_a_missing_key_fails_at_once():
    with pytest.raises(NotConfigured, match="ANTHROPIC_API_KEY not set"):
        await reach("anthropic")


@pytest.mark.parametrize("name", ["unknown", "openai@", "openai@a b", "openai@../x", ""])
def test_llm_router_case_6_unknown_provider(name):
    with pytest.raises(InvalidInput, match="Unknown provider"):
        provider_name(name, BOOK)


@pytest.mark.parametrize("name", ["gemini", "google", "bedrock", "replicate"])
async def test_missing_drivers_are_named(name):
    with pytest.raises(NotConfigured, match=r"driver '(gemini|bedrock|replicate)'"):
        await reach(name, GOOGLE_API_KEY="k", AWS_ACCESS_KEY_ID="k", REPLICATE_API_TOKEN="k")


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://"])
async def test_a_malformed_address_names_its_variable(url):
    with pytest.raises(NotConfigured, match="OPENAI_BASE_URL"):
        await reach("openai", OPENAI_API_KEY="k", OPENAI_BASE_URL=url)


async def test_the_key_is_not_in_the_representation():
    there = await reach("openai", OPENAI_API_KEY="secret", OPENAI_BASE_URL="http://u:pw@h:1/v1")
    assert "secret" not in repr(there)
    assert "pw" not in repr(there)
    assert there.host == "http://h:1"


async def test_copilot_is_off_unless_asked_for():
    with pytest.raises(NotConfigured, match="GITHUB_COPILOT_ENABLED"):
        await reach("github_copilot", GITHUB_TOKEN="k")
