"""Everything the worker's functions stand on, put together once."""

from __future__ import annotations

import os
from collections.abc import Mapping

from agentos.workers.llm_router.accounting import Accounts
from agentos.workers.llm_router.catalogue import Provider, catalogue
from agentos.workers.llm_router.completion import Completions
from agentos.workers.llm_router.drivers import Drivers
from agentos.workers.llm_router.endpoints import (
    OFFLINE_PROVIDER,
    ProviderName,
    base_url,
    endpoint,
    is_configured,
    provider_name,
)
from agentos.workers.llm_router.keys import KeyRing, Vault
from agentos.workers.llm_router.probe import Probe
from agentos.workers.llm_router.reachability import try_endpoint
from agentos.workers.llm_router.requests import (
    CatalogueProvider,
    ProviderRow,
    Reachability,
    RouteRequest,
)
from agentos.workers.llm_router.resolution import Resolver
from agentos.workers.llm_router.retry import Retry
from agentos.workers.llm_router.routing import (
    TEXT_MODELS,
    Choice,
    ModelWish,
    class_of,
    overrides_of,
    preferred,
    route_messages,
    route_text,
)
from agentos.workers.llm_router.targets import Targets
from iii_sdk.errors import NotConfigured


class Router:
    """One per process. The environment is read at each call, so that a changed one counts."""

    def __init__(self, environ: Mapping[str, str] = os.environ, retry: Retry | None = None) -> None:
        self._environ = environ
        self.catalogue = catalogue()
        self.drivers = Drivers()
        self.accounts = Accounts(self.catalogue)
        self._keys = KeyRing(environ)
        self._resolver = Resolver(self.catalogue, environ, self._keys, Probe())
        targets = Targets(self.catalogue, environ, self._keys, self._resolver)
        self.completions = Completions(targets, self.drivers, self.accounts, retry or Retry())

    async def route(self, request: RouteRequest, vault: Vault | None) -> Choice:
        """The model for a request, or the nearest one that can answer."""
        choice = self.ideal(request)
        kind = class_of(choice, self.catalogue)
        preference, wish = request.model, request.config or ModelWish()
        if preferred(preference, kind, TEXT_MODELS, self.catalogue, {}) is None:
            served = await self._resolver.serving(preference, vault) if preference else None
            if served is not None:
                choice.provider, choice.model = served
            elif wish.provider and not wish.model:
                choice.model = ""  # which one, the provider's server may have to be asked
        return await self._resolver.settle(choice, kind, vault)

    def ideal(self, request: RouteRequest) -> Choice:
        """The model for a request if every provider were there."""
        overrides = overrides_of(self._environ)
        if request.messages is not None:
            tools = len(request.tools or request.functions or [])
            return route_messages(request.messages, tools, request.model, self.catalogue, overrides)
        tools = max(request.tool_count or 0, request.function_count or 0)
        return route_text(
            request.message or "",
            tools,
            request.config or ModelWish(),
            request.model,
            request.agent_tier,
            self.catalogue,
            overrides,
        )

    async def providers(self, vault: Vault | None) -> list[ProviderRow]:
        """Every provider with its models, the offline one last."""
        rows = []
        for provider in (*self.catalogue.providers.values(), OFFLINE_PROVIDER):
            name = ProviderName(provider.public_name, provider)
            rows.append(
                ProviderRow(
                    name=provider.public_name,
                    base_url=base_url(name, self._environ),
                    env_key=provider.env_key,
                    models=self._models(provider),
                    configured=await is_configured(name, self._keys, vault),
                    driver=provider.driver,
                    aliases=[provider.id] if provider.id != provider.public_name else [],
                )
            )
        return rows

    def _models(self, provider: Provider) -> list[str]:
        if provider is OFFLINE_PROVIDER:
            return ["offline"]
        rows = [row.id for row in self.catalogue.of_provider(provider.id)]
        return list(dict.fromkeys([*rows, *provider.extra_models]))

    async def catalogue_providers(self, vault: Vault | None) -> list[CatalogueProvider]:
        """The providers of the catalogue with their published addresses."""
        return [
            CatalogueProvider(
                id=provider.id,
                name=provider.name,
                base_url=provider.base_url,
                env_key=provider.env_key,
                required=provider.required,
                local=provider.local,
                driver=provider.driver,
                available=provider.local
                or await is_configured(ProviderName(provider.id, provider), self._keys, vault),
                model_count=len(self.catalogue.of_provider(provider.id)),
            )
            for provider in self.catalogue.providers.values()
        ]

    async def test(self, provider_id: str, vault: Vault | None) -> Reachability:
        """Whether a provider answers; a provider that cannot be called says why."""
        name = provider_name(provider_id, self.catalogue)
        if name.provider is OFFLINE_PROVIDER:
            return Reachability(True, authenticated=True)
        try:
            return await try_endpoint(await endpoint(name, self._environ, self._keys, vault))
        except NotConfigured as error:
            return Reachability(False, reason=error.message)
