"""Scores, bands and preferences, without keys or configuration."""

from __future__ import annotations

import pytest

from agentos.workers.llm_router.catalogue import catalogue
from agentos.workers.llm_router.conversation import Message
from agentos.workers.llm_router.routing import (
    ModelWish,
    class_of_messages,
    route_messages,
    route_text,
    score_messages,
    score_text,
)

BOOK = catalogue()
FENCE = "```"


def said(*texts):
    return [Message("user", text) for text in texts]


def form_m(text="", tools=0, preference=None, **overrides):
    return route_messages(said(text), tools, preference, BOOK, overrides)


def form_t(text, tools=0, tier=None, preference=None, **wish):
    return route_text(text, tools, ModelWish(**wish), preference, tier, BOOK, {})


def test_llm_router_case_1_short_message_goes_to_haiku():
    choice = form_m("hi")
    assert (choice.provider, choice.model) == ("anthropic", "claude-haiku-4-5-20251001")
    assert choice.complexity == 0
    assert "haiku" in form_m("analyze " * 900, preference="haiku").model


@pytest.mark.parametrize(
    ("text", "tools", "score"),
    [
        ("x" * 100, 0, 1),
        ("x" * 99, 0, 0),
        ("a" * 500, 0, 5),
        ("hello", 2, 10),
        (None, 0, 0),
        ("   ", 0, 0),
        (f"analyze this function\n{FENCE}py\npass\n{FENCE}", 0, 35),
        ("Analyze THIS", 0, 0),
        ("ä" * 50, 0, 1),
    ],
)
def test_llm_router_case_2_scores(text, tools, score):
    assert score_messages(said(text), tools) == score


def test_llm_router_case_2_many_messages():
    assert score_messages(said(*["x"] * 10), 0) == 0
    assert score_messages(said(*["x"] * 11), 0) >= 10
    assert score_messages([], 0) == 0


@pytest.mark.parametrize(
    ("score", "kind"), [(0, "fast"), (10, "fast"), (11, "smart"), (40, "smart"), (41, "frontier")]
)
def test_llm_router_case_3_bands(score, kind):
    assert class_of_messages(score) == kind


@pytest.mark.parametrize(
    ("preference", "text", "provider", "model"),
    [
        ("opus", "", "anthropic", "claude-opus-4-20250514"),
        ("claude-sonnet", "", "anthropic", "claude-sonnet-4-20250514"),
        ("haiku", "x" * 10_000, "anthropic", "claude-haiku-4-5-20251001"),
        ("gpt-4o", "", "openai", "gpt-4o"),
        ("gemini", "", "google", "gemini-2.0-flash"),
        ("unknown-model", "x" * 500, "anthropic", "claude-haiku-4-5-20251001"),
        ("", "", "anthropic", "claude-haiku-4-5-20251001"),
        ("kimi", "", "moonshot", "moonshot-v1-128k"),
        ("flash", "", "google", "gemini-2.5-flash"),
        ("ollama/qwen2.5", "", "ollama", "qwen2.5"),
        ("openai@work/gpt-5", "", "openai@work", "gpt-5"),
        ("offline", "", "offline", "offline"),
    ],
)
def test_llm_router_case_3_preferences(preference, text, provider, model):
    choice = form_m(text, preference=preference)
    assert (choice.provider, choice.model) == (provider, model)


STEPS = "Step 1: set up the project. Then add auth. Next deploy it. Finally test."
LONG = f"Please analyze and refactor this complex module\n{FENCE}\n{'x' * 2500}\n{FENCE}"


@pytest.mark.parametrize(
    ("text", "tools", "tier", "model", "score"),
    [
        ("hi", 0, None, "claude-haiku-4-5", 0.1),
        (
            "Can you help me write a function that processes data?",
            0,
            None,
            "claude-sonnet-4-6",
            0.4,
        ),
        (LONG, 15, None, "claude-opus-4-6", 1.0),
        (STEPS, 0, None, "claude-sonnet-4-6", 0.5),
        (
            "Can you help me write a function that processes data?",
            0,
            "economy",
            "claude-haiku-4-5",
            0.4,
        ),
        ("hello", 0, "premium", "claude-sonnet-4-6", 0.1),
        (STEPS, 0, "premium", "claude-opus-4-6", 0.5),
    ],
)
def test_llm_router_case_4_text_scores(text, tools, tier, model, score):
    choice = form_t(text, tools, tier)
    assert (choice.provider, choice.model, choice.score) == ("anthropic", model, score)
    assert choice.complexity == round(score * 100)


def test_llm_router_case_4_limits():
    assert form_t("hi").max_tokens == 2048
    assert form_t(LONG, 15).max_tokens == 8192


def test_scores_are_round():
    assert score_text("tell me about the sea", 0) == 0.3


def test_llm_router_case_5_configured_model_is_taken_as_it_is():
    choice = form_t("anything", provider="openai", model="gpt-4o", max_tokens=16384)
    assert (choice.provider, choice.model, choice.max_tokens) == ("openai", "gpt-4o", 16384)
    choice = form_t("anything", model="custom-model")
    assert (choice.provider, choice.model, choice.max_tokens) == (
        "anthropic",
        "custom-model",
        4096,
    )


def test_configured_names_go_through_the_catalogue():
    assert form_t("x", model="opus").model == "claude-opus-4-6"
    assert form_t("x", model="gpt-4o").provider == "openai"
    assert form_t("x", model="offline").provider == "offline"
    assert form_t("x", provider="groq", model="gpt-4o").provider == "groq"


def test_a_provider_alone_gets_the_model_of_the_class():
    assert form_t("hi", provider="openai").model == "gpt-4o-mini"
    assert form_t(LONG, 15, provider="openai").model == "o3"


def test_a_preference_beside_a_text():
    choice = form_t("hi", preference="opus", max_tokens=77)
    assert (choice.model, choice.max_tokens, choice.score) == ("claude-opus-4-6", 77, 0.1)
    assert form_t("hi", preference="offline").provider == "offline"
    assert form_t("hi", preference="nobody-knows-it").model == "claude-haiku-4-5"
    assert form_t("hi", preference="opus", model="gpt-4o").model == "gpt-4o"


def test_the_tier_table_can_be_set():
    choice = form_m("hi", fast="openai/gpt-5-nano")
    assert (choice.provider, choice.model, choice.max_tokens) == ("openai", "gpt-5-nano", 2048)
    assert form_m("hi", fast="mistral").provider == "mistral"
