"""The catalogue as data, and lookups in it."""

from __future__ import annotations

from collections import Counter
from statistics import mean

import pytest

from agentos.workers.llm_router.catalogue import catalogue
from iii_sdk.errors import NotFound

BOOK = catalogue()


def test_the_tables_are_complete():
    tiers = Counter(model.tier for model in BOOK.models.values())
    assert tiers == {"frontier": 5, "smart": 17, "balanced": 18, "fast": 7}
    assert len(BOOK.aliases) == 46
    assert len(BOOK.providers) == 27
    assert not any(model.local for model in BOOK.models.values())


def test_every_alias_leads_to_a_model_and_every_model_to_a_provider():
    assert set(BOOK.aliases.values()) <= set(BOOK.models)
    assert {model.provider for model in BOOK.models.values()} <= set(BOOK.providers)


def test_llm_router_case_13_filters():
    assert len(BOOK.select(provider="anthropic")) == 3
    assert [m.id for m in BOOK.select(tier="smart", provider="anthropic")] == ["claude-sonnet-4-6"]
    assert BOOK.select(provider="nonexistent") == []
    assert BOOK.select(tools=False)
    assert not any(model.supports_tools for model in BOOK.select(tools=False))
    frontier = mean(model.output_price for model in BOOK.select(tier="frontier"))
    assert frontier > mean(model.output_price for model in BOOK.select(tier="fast"))


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("OPUS", "claude-opus-4-6"),
        ("gpt4", "gpt-4o"),
        ("flash", "gemini-2.5-flash"),
        ("cheap", "gpt-4o-mini"),
        ("sonar", "sonar-pro"),
        ("gpt-4o", "gpt-4o"),
        ("perplexity/sonar", "sonar"),
        ("cohere/command-r", "command-r"),
        ("google/gemini-2.5-pro", "gemini-2.5-pro"),
    ],
)
def test_llm_router_case_14_resolve(name, model):
    assert BOOK.resolve(name).id == model


def test_llm_router_case_14_unknown_model():
    with pytest.raises(NotFound, match="Unknown model: nonexistent-model-xyz"):
        BOOK.resolve("nonexistent-model-xyz")


def test_llm_router_case_15_provider_rows():
    assert len(BOOK.of_provider("anthropic")) == 3
    assert BOOK.providers["ollama"].local
    assert not BOOK.providers["ollama"].required
    assert BOOK.providers["bedrock"].driver == "bedrock"
    assert BOOK.providers["gemini"].driver == "gemini"
    assert BOOK.provider("google") is BOOK.provider("gemini")


def test_cache_prices_follow_the_input_price_unless_given():
    assert BOOK.models["claude-opus-4-6"].cache_write_price == 18.75
    assert BOOK.models["gpt-4o"].cache_read_price == 0.25
    assert BOOK.models["gpt-4o"].cache_write_price == 3.125


def test_inside_a_provider_an_exact_id_beats_an_alias():
    perplexity, groq = BOOK.providers["perplexity"], BOOK.providers["groq"]
    sonar, llama = BOOK.find_within(perplexity, "sonar"), BOOK.find_within(groq, "llama")
    assert sonar is not None
    assert sonar.id == "sonar"
    assert llama is not None
    assert llama.api_model == "llama-3.3-70b-versatile"
    assert BOOK.find_within(groq, "llama-3.3-70b-versatile") is llama
    assert BOOK.find_within(groq, "gpt-4o") is None
