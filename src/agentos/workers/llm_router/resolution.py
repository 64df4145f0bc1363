"""From the model that should answer to one that can.

Order: the choice itself when its provider is usable; then the providers of `LLM_FALLBACK` that have
a key; then any other provider with a key; then a local server that answers; then `offline`.
"""

from __future__ import annotations

from collections.abc import Mapping

from agentos.workers.llm_router.catalogue import Catalogue
from agentos.workers.llm_router.endpoints import (
    DRIVERS,
    ProviderName,
    base_url,
    is_configured,
    provider_name,
)
from agentos.workers.llm_router.keys import KeyRing, Vault
from agentos.workers.llm_router.probe import LocalProbe
from agentos.workers.llm_router.routing import OFFLINE, Choice, class_model, class_of
from iii_sdk.errors import InvalidInput

DEFAULT_WALK = ("anthropic", "openai", "google", "groq", "deepseek")
LOCAL_SERVERS = ("ollama", "vllm")


class Resolver:
    """Replaces a choice nobody can serve by one somebody can, marked `fallback`."""

    def __init__(
        self, catalogue: Catalogue, environ: Mapping[str, str], keys: KeyRing, probe: LocalProbe
    ) -> None:
        self._catalogue = catalogue
        self._environ = environ
        self._keys = keys
        self._probe = probe

    async def settle(self, choice: Choice, vault: Vault | None) -> Choice:
        """The choice, or its replacement. An unknown provider is for `llm::complete` to refuse."""
        try:
            name = provider_name(choice.provider, self._catalogue)
        except InvalidInput:
            return choice
        if choice.model and await self._usable(name, vault):
            return choice
        choice.provider, choice.model = await self._alternative(class_of(choice), vault)
        choice.fallback = True
        return choice

    async def _usable(self, name: ProviderName, vault: Vault | None) -> bool:
        provider = name.provider
        if provider.driver not in DRIVERS:
            return False
        if provider.opt_in_env and self._environ.get(provider.opt_in_env) != "1":
            return False
        return await is_configured(name, self._keys, vault)

    async def _alternative(self, kind: str, vault: Vault | None) -> tuple[str, str]:
        """`(provider, model)` of the first that can answer now; the offline provider always can."""
        for entry in self._walk():
            text, _, model = entry.partition("/")
            try:
                name = provider_name(text, self._catalogue)
            except InvalidInput:
                continue
            if name.provider.local:
                served = await self._probe.models(base_url(name, self._environ))
                model = (model or served[0]) if served else ""
            elif await self._usable(name, vault):
                model = model or class_model(kind, text, self._catalogue)
            else:
                continue
            if model:
                return name.text, model
        return OFFLINE, OFFLINE

    def _walk(self) -> list[str]:
        """Entries `provider` or `provider/model`, in the order they are tried."""
        setting = self._environ.get("LLM_FALLBACK")
        if setting is not None:
            return [entry.strip() for entry in setting.split(",") if entry.strip()]
        others = [
            provider.public_name
            for provider in self._catalogue.providers.values()
            if not provider.ambient_key and not provider.local
        ]
        return list(dict.fromkeys([*DEFAULT_WALK, *others, *LOCAL_SERVERS]))
