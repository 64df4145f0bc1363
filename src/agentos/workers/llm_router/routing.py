"""Which model for which request: pure scoring, no configuration and no keys.

Two forms. Form M scores the last message of a conversation as an integer; form T scores one text
in 0..1. Both lead to a class (`fast`, `smart`, `frontier`), a class to a model of the tier table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from agentos.workers.llm_router.catalogue import Catalogue
from agentos.workers.llm_router.conversation import Message

CLASSES = ("fast", "smart", "frontier")
MAX_TOKENS = {"fast": 2048, "smart": 4096, "frontier": 8192}
MESSAGE_MODELS = {
    "fast": "claude-haiku-4-5-20251001",
    "smart": "claude-sonnet-4-20250514",
    "frontier": "claude-opus-4-20250514",
}
TEXT_MODELS = {
    "fast": "claude-haiku-4-5",
    "smart": "claude-sonnet-4-6",
    "frontier": "claude-opus-4-6",
}
DEFAULT_PROVIDER = "anthropic"
OFFLINE = "offline"

_PREFERRED_CLASS = {
    "opus": "frontier",
    "claude-opus": "frontier",
    "sonnet": "smart",
    "claude-sonnet": "smart",
    "haiku": "fast",
    "claude-haiku": "fast",
}
_PREFERRED_MODEL = {"gpt-4o": ("openai", "gpt-4o"), "gemini": ("google", "gemini-2.0-flash")}

_REASONING = re.compile(
    r"\b(analyze|architect|design|implement|refactor|debug|compare|evaluate|optimize|migrate)\b",
    re.IGNORECASE,
)
_STEPS = re.compile(r"\bstep\s*\d+|\b(?:first|then|next|finally)[,.]?\s|\d+\.\s", re.IGNORECASE)
_GREETING = re.compile(r"\b(hi|hello|thanks|yes|no|ok)\b", re.IGNORECASE)


class Choice(msgspec.Struct, rename="camel", omit_defaults=True):
    """The answer of `llm::route`. `score` only in form T; neither score when the caller chose."""

    provider: str
    model: str
    max_tokens: int
    complexity: int | msgspec.UnsetType = msgspec.UNSET
    score: float | msgspec.UnsetType = msgspec.UNSET
    fallback: bool = False


class ModelWish(msgspec.Struct, rename="camel"):
    """A model somebody asked for; every part may be left out."""

    provider: str | None = None
    model: str | None = None
    max_tokens: int | None = None


def score_messages(messages: Sequence[Message], tool_count: int) -> int:
    """Form M: a whole number from the last message and the counts."""
    last = messages[-1].content if messages else ""
    text = last if isinstance(last, str) else "".join(part.text for part in last or [])
    score = len(text.encode()) // 100
    score += 20 if any(mark in text for mark in ("```", "function", "class")) else 0
    score += 15 if any(verb in text for verb in ("analyze", "compare", "design")) else 0
    return score + 5 * tool_count + (10 if len(messages) > 10 else 0)


def class_of_messages(score: int) -> str:
    """0-10 fast, 11-40 smart, from 41 frontier."""
    if score <= 10:
        return "fast"
    return "smart" if score <= 40 else "frontier"


def score_text(text: str, tool_count: int) -> float:
    """Form T: 0..1, rounded to six decimals."""
    score = 0.4 + _length_weight(len(text))
    fences = text.count("```") // 2
    score += 0.25 if fences >= 2 else 0.2 if fences else 0.0
    score += 0.15 if _REASONING.search(text) else 0.0
    score += 0.1 if _STEPS.search(text) else 0.0
    score -= 0.2 if len(text) < 30 and _GREETING.search(text) else 0.0
    score += 0.2 if tool_count > 10 else 0.1 if tool_count > 3 else 0.0
    return round(min(1.0, max(0.0, score)), 6)


def _length_weight(length: int) -> float:
    if length > 2000:
        return 0.3
    if length > 500:
        return 0.15
    return -0.1 if length < 50 else 0.0


def class_of_text(score: float, tier: str | None) -> str:
    """The class of a text score; an economy or premium agent bends it."""
    if tier == "economy":
        return "fast"
    if tier == "premium":
        return "frontier" if score >= 0.5 else "smart"
    if score < 0.3:
        return "fast"
    return "smart" if score < 0.7 else "frontier"


def route_messages(
    messages: Sequence[Message],
    tool_count: int,
    preference: str | None,
    catalogue: Catalogue,
    overrides: dict[str, str],
) -> Choice:
    """Form M. `overrides` maps a class to the model set for it in the environment."""
    score = score_messages(messages, tool_count)
    kind = class_of_messages(score)
    choice = preferred(preference, kind, MESSAGE_MODELS, catalogue, overrides)
    if choice is None:
        choice = of_class(kind, MESSAGE_MODELS, catalogue, overrides)
    choice.complexity = score
    return choice


def route_text(
    text: str,
    tool_count: int,
    wish: ModelWish,
    preference: str | None,
    tier: str | None,
    catalogue: Catalogue,
    overrides: dict[str, str],
) -> Choice:
    """Form T. A wish with a model is taken as it is, without scoring; a preference wins over it."""
    if wish.model:
        return _wished(wish, wish.model, catalogue)
    score = score_text(text, tool_count)
    kind = class_of_text(score, tier)
    choice = preferred(preference, kind, TEXT_MODELS, catalogue, overrides)
    if choice is None:
        choice = of_class(kind, TEXT_MODELS, catalogue, overrides)
        if wish.provider and wish.provider != choice.provider:
            model = class_model(kind, wish.provider, catalogue)
            choice.provider, choice.model = wish.provider, model
    choice.max_tokens = wish.max_tokens or choice.max_tokens
    choice.complexity, choice.score = round(score * 100), score
    return choice


def class_model(kind: str, provider_name: str, catalogue: Catalogue) -> str:
    """The model of a provider that comes nearest to a class; `""` when it has no catalogue row."""
    if provider_name == OFFLINE:
        return OFFLINE
    provider = catalogue.provider(provider_name.partition("@")[0])
    rows = catalogue.of_provider(provider.id) if provider is not None else []
    rows = [row for row in rows if row.supports_tools] or rows
    for tier in _NEAREST[kind]:
        for row in rows:
            if row.tier == tier:
                return row.id
    return ""


_NEAREST = {
    "fast": ("fast", "balanced", "smart", "frontier"),
    "smart": ("smart", "balanced", "frontier", "fast"),
    "frontier": ("frontier", "smart", "balanced", "fast"),
}


def class_of(choice: Choice, catalogue: Catalogue) -> str:
    """The class of a chosen model, for its equivalent elsewhere; unknown models count as smart."""
    for table in (MESSAGE_MODELS, TEXT_MODELS):
        for kind, model in table.items():
            if model == choice.model:
                return kind
    row = catalogue.find(choice.model)
    return row.tier if row is not None and row.tier in CLASSES else "smart"


def named_model(name: str, catalogue: Catalogue) -> tuple[str, str] | None:
    """`(provider, model)` of a catalogue id, an alias, `provider/model`, or `offline`."""
    if name == OFFLINE:
        return OFFLINE, OFFLINE
    row = catalogue.find(name)
    if row is not None:
        return catalogue.providers[row.provider].public_name, row.id
    prefix, slash, rest = name.partition("/")
    if slash and rest and catalogue.provider(prefix.partition("@")[0]) is not None:
        return prefix, rest
    return None


def preferred(
    preference: str | None,
    kind: str,
    table: dict[str, str],
    catalogue: Catalogue,
    overrides: dict[str, str],
) -> Choice | None:
    """The choice a preference leads to; a name that nobody here knows leads to none."""
    if not preference:
        return None
    wanted = _PREFERRED_CLASS.get(preference)
    if wanted is not None:
        return of_class(wanted, table, catalogue, overrides)
    named = _PREFERRED_MODEL.get(preference) or named_model(preference, catalogue)
    return Choice(*named, MAX_TOKENS[kind]) if named is not None else None


def _wished(wish: ModelWish, model: str, catalogue: Catalogue) -> Choice:
    max_tokens = wish.max_tokens or MAX_TOKENS["smart"]
    if wish.provider:
        return Choice(wish.provider, model, max_tokens)
    return Choice(*(named_model(model, catalogue) or (DEFAULT_PROVIDER, model)), max_tokens)


def of_class(
    kind: str, table: dict[str, str], catalogue: Catalogue, overrides: dict[str, str]
) -> Choice:
    """The choice of a class: what the environment sets for it, else what the table says."""
    model = overrides.get(kind)
    if not model:
        return Choice(DEFAULT_PROVIDER, table[kind], MAX_TOKENS[kind])
    named = named_model(model, catalogue) or (DEFAULT_PROVIDER, model)
    return Choice(*named, MAX_TOKENS[kind])


def overrides_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The models that `LLM_MODEL_FAST`, `_SMART` and `_FRONTIER` set for the classes."""
    return {kind: environ.get(f"LLM_MODEL_{kind.upper()}", "") for kind in CLASSES}
