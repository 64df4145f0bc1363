"""Payloads and answers of the `llm::` functions, as they travel on the bus."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agentos.workers.llm_router.conversation import Message, ToolResult, Usage
from agentos.workers.llm_router.routing import ModelWish
from iii_sdk.protocol import ChannelRef

Descriptor = dict[str, object]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class RouteRequest(msgspec.Struct, rename="camel"):
    """Form M when `messages` is there, else form T. Missing text counts as empty."""

    messages: list[Message] | None = None
    tools: list[object] | None = None
    functions: list[object] | None = None
    model: str | None = None
    message: str | None = None
    tool_count: int | None = None
    function_count: int | None = None
    config: ModelWish | None = None
    agent_tier: Literal["economy", "premium"] | None = None


class CompleteRequest(msgspec.Struct, rename="camel", kw_only=True):
    """The flat form names `provider` and `model`; the object form gives `model` an object."""

    messages: list[Message]
    model: str | ModelWish | None = None
    provider: str | None = None
    max_tokens: Positive | None = msgspec.field(default=None, name="max_tokens")
    max_tokens_camel: Positive | None = msgspec.field(default=None, name="maxTokens")
    system_prompt: str | None = None
    tools: list[Descriptor] | None = None
    functions: list[Descriptor] | None = None
    tool_results: list[ToolResult] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=3_600_000)] = 120_000

    @property
    def wish(self) -> ModelWish:
        """Provider, model and limit, whichever form they came in; blank counts as left out."""
        limit = self.max_tokens or self.max_tokens_camel
        if isinstance(self.model, ModelWish):
            inner = self.model
            return ModelWish(inner.provider or None, inner.model or None, inner.max_tokens or limit)
        return ModelWish(self.provider or None, self.model or None, limit)


class StreamRequest(CompleteRequest, rename="camel", kw_only=True):
    """As `CompleteRequest`, with the channel that takes the events."""

    writer: ChannelRef


class Completion(msgspec.Struct, rename="camel"):
    """The answer of `llm::complete` and `llm::stream`. `toolCalls`: `{callId, id, arguments}`."""

    content: str
    model: str
    provider: str
    tool_calls: list[dict[str, object]]
    usage: Usage
    stop_reason: str
    duration_ms: int


class UsageRow(msgspec.Struct):
    """What one model of one provider used so far."""

    provider: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    requests: int = 0


class UsageReport(msgspec.Struct):
    """The answer of `llm::usage`."""

    stats: list[UsageRow]


class ProviderRow(msgspec.Struct):
    """One provider in `llm::providers`. `env_key` names a variable, never its value."""

    name: str
    base_url: str
    env_key: str
    models: list[str]
    configured: bool
    driver: str
    aliases: list[str]


class ProviderReport(msgspec.Struct):
    """The answer of `llm::providers`."""

    providers: list[ProviderRow]


class CatalogueProvider(msgspec.Struct, rename="camel"):
    """One provider in `catalog::providers`."""

    id: str
    name: str
    base_url: str
    env_key: str
    required: bool
    local: bool
    driver: str
    available: bool
    model_count: int


class ModelFilter(msgspec.Struct, rename="camel"):
    """Filters of `catalog::models`; all that are given must hold."""

    tier: str | None = None
    provider: str | None = None
    supports_tools: bool | None = None


class ModelName(msgspec.Struct):
    """A catalogue id, an alias, or `provider/id`."""

    model: Annotated[str, msgspec.Meta(min_length=1)]


class ProviderId(msgspec.Struct, rename="camel"):
    """Which provider to test."""

    provider_id: Annotated[str, msgspec.Meta(min_length=1)]


class Reachability(msgspec.Struct, rename="camel", omit_defaults=True):
    """Whether a provider answers, and whether it accepts the key."""

    reachable: bool
    status: int | None = None
    reason: str | None = None
    authenticated: bool | None = None
    latency_ms: int | None = None
