"""From what a caller asked for to an endpoint and a prompt."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agentos.workers.llm_router.catalogue import Catalogue, Model
from agentos.workers.llm_router.conversation import Prompt, build_turns
from agentos.workers.llm_router.endpoints import Endpoint, endpoint, provider_name
from agentos.workers.llm_router.keys import KeyRing, Vault
from agentos.workers.llm_router.requests import CompleteRequest
from agentos.workers.llm_router.resolution import Resolver
from agentos.workers.llm_router.routing import (
    DEFAULT_PROVIDER,
    MAX_TOKENS,
    MESSAGE_MODELS,
    OFFLINE,
    ModelWish,
    named_model,
    of_class,
    overrides_of,
)
from agentos.workers.llm_router.tool_schemas import tools_of
from iii_sdk.errors import InvalidInput


class Target(msgspec.Struct):
    """Where a completion goes. `model` is our name of it, `row` its catalogue entry if any."""

    endpoint: Endpoint
    model: str
    max_tokens: int
    row: Model | None = None

    @property
    def wire_model(self) -> str:
        """The model as the provider calls it."""
        return self.row.api_model if self.row is not None else self.model


class Targets:
    """Finds the target of a request."""

    def __init__(
        self,
        catalogue: Catalogue,
        environ: Mapping[str, str],
        keys: KeyRing,
        resolver: Resolver,
    ) -> None:
        self._catalogue = catalogue
        self._environ = environ
        self._keys = keys
        self._resolver = resolver

    async def find(self, wish: ModelWish, vault: Vault | None) -> Target:
        """A named provider or model is taken at its word; only when nothing is named, anyone who
        can answer does."""
        limit = wish.max_tokens or MAX_TOKENS["smart"]
        if not wish.provider and not wish.model:
            overrides = overrides_of(self._environ)
            choice = of_class("smart", MESSAGE_MODELS, self._catalogue, overrides)
            choice = await self._resolver.settle(choice, "smart", vault)
            provider, model = choice.provider, choice.model
        elif wish.provider:
            provider, model = wish.provider, wish.model or ""
        else:
            provider, model = named_model(wish.model or "", self._catalogue) or (
                DEFAULT_PROVIDER,
                wish.model or "",
            )
        if OFFLINE in (provider, model):
            provider = model = OFFLINE
        name = provider_name(provider, self._catalogue)
        where = await endpoint(name, self._environ, self._keys, vault)
        model = model or await self._resolver.default_model(name, "smart", vault)
        if not model:
            raise InvalidInput(f"$.model: name a model of {provider}")
        row = self._catalogue.find_within(name.provider, model)
        return Target(where, row.id if row is not None else model, limit, row)


def prompt_for(target: Target, request: CompleteRequest) -> Prompt:
    """The conversation as the driver gets it, within what the model can do."""
    system, turns = build_turns(
        request.messages, request.system_prompt or "", request.tool_results or []
    )
    tools = tools_of(request.functions or request.tools or [])
    max_tokens = target.max_tokens
    if target.row is not None:
        tools = tools if target.row.supports_tools else []
        max_tokens = min(max_tokens, target.row.max_output)
        if not target.row.supports_vision and any(turn.images for turn in turns):
            raise InvalidInput(f"$.messages: {target.row.id} does not take images")
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    return Prompt(
        model=target.wire_model,
        max_tokens=max_tokens,
        turns=turns,
        system=system,
        tools=tools,
        temperature=request.temperature,
        top_p=request.top_p,
        stop=stop,
    )
