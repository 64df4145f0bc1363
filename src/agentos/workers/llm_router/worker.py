"""The functions of `llm-router`."""

from __future__ import annotations

from agentos.workers.llm_router.accounting import USAGE_SCOPE
from agentos.workers.llm_router.catalogue import Model
from agentos.workers.llm_router.keys import VaultEntry
from agentos.workers.llm_router.requests import (
    CatalogueProvider,
    CompleteRequest,
    Completion,
    ModelFilter,
    ModelName,
    ProviderId,
    ProviderReport,
    Reachability,
    RouteRequest,
    StreamRequest,
    UsageReport,
    UsageRow,
)
from agentos.workers.llm_router.router import Router
from agentos.workers.llm_router.routing import Choice
from iii_sdk import Bus, BusError, Worker, http


class BusVault:
    """The vault worker, if there is one."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def get(self, key: str) -> str:
        """The value of a key. Raises the bus error when there is none."""
        entry = await self._bus.call("vault::get", {"key": key}, kind=VaultEntry, timeout=5.0)
        return entry.value


def create(router: Router | None = None) -> Worker:
    """A worker of its own; its router keeps the clients of the providers."""
    router = router or Router()
    worker = Worker(
        "llm-router", description="Chooses models, speaks to their providers, counts what they use"
    )

    @worker.function("llm::route")
    async def route(request: RouteRequest, bus: Bus) -> Choice:
        """Choose provider and model for a request by its complexity."""
        return await router.route(request, BusVault(bus))

    @worker.function("llm::complete")
    async def complete(request: CompleteRequest, bus: Bus) -> Completion:
        """Send a conversation to a model and return its answer."""
        return await router.completions.complete(request, BusVault(bus), bus)

    @worker.function("llm::stream")
    async def stream(request: StreamRequest, bus: Bus) -> Completion:
        """As llm::complete, with the answer also written to a channel while it arrives."""
        writer = await bus.open_writer(request.writer)
        return await router.completions.stream(request, writer, BusVault(bus), bus)

    @worker.function("llm::usage")
    async def usage(bus: Bus) -> UsageReport:
        """Tokens and requests per provider and model."""
        try:
            stored = await bus.state.list(USAGE_SCOPE, kind=UsageRow)
        except BusError as error:
            bus.log.warn("stored usage cannot be read", error=error.message)
            stored = []
        return UsageReport(router.accounts.rows(stored))

    @worker.function("llm::providers")
    async def providers(bus: Bus) -> ProviderReport:
        """Every provider: where it is, what it offers, whether it is configured."""
        return ProviderReport(await router.providers(BusVault(bus)))

    @worker.function("catalog::models", http("GET", "api/models"))
    async def models(request: ModelFilter) -> list[Model]:
        """The models of the catalogue, filtered by tier, provider and tool support."""
        return router.catalogue.select(request.tier, request.provider, request.supports_tools)

    @worker.function("catalog::resolve")
    async def resolve(request: ModelName) -> Model:
        """The catalogue entry behind an id or an alias."""
        return router.catalogue.resolve(request.model)

    @worker.function("catalog::providers", http("GET", "api/providers"))
    async def catalogue_providers(bus: Bus) -> list[CatalogueProvider]:
        """The providers of the catalogue, and which are available."""
        return await router.catalogue_providers(BusVault(bus))

    @worker.function("catalog::aliases", http("GET", "api/models/aliases"))
    async def aliases() -> dict[str, str]:
        """Short names of models."""
        return router.catalogue.aliases

    @worker.function("catalog::provider_test", http("POST", "api/providers/:providerId/test"))
    async def test_provider(request: ProviderId, bus: Bus) -> Reachability:
        """Try whether a provider answers and accepts its key."""
        return await router.test(request.provider_id, BusVault(bus))

    return worker


worker = create()
