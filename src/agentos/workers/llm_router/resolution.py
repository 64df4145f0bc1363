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
from agentos.workers.llm_router.probe import Probe
from agentos.workers.llm_router.routing import OFFLINE, Choice, class_model
from iii_sdk.errors import InvalidInput

DEFAULT_WALK = ("anthropic", "openai", "google", "groq", "deepseek")
LOCAL_SERVERS = ("ollama", "vllm")


class Resolver:
    """Replaces a choice nobody can serve by one somebody can, marked `fallback`."""

    def __init__(
        self, catalogue: Catalogue, environ: Mapping[str, str], keys: KeyRing, probe: Probe
    ) -> None:
        self._catalogue = catalogue
        self._environ = environ
        self._keys = keys
        self._probe = probe

    async def settle(self, choice: Choice, kind: str, vault: Vault | None) -> Choice:
        """The choice, or the nearest model of that class. A choice without a model gets one.

        An unknown provider is for `llm::complete` to refuse.
        """
        try:
            name = provider_name(choice.provider, self._catalogue)
        except InvalidInput:
            return choice
        if await self._usable(name, vault):
            choice.model = choice.model or await self.default_model(name, kind, vault)
            if choice.model:
                return choice
        choice.provider, choice.model = await self._alternative(kind, vault)
        choice.fallback = True
        return choice

    async def serving(self, model: str, vault: Vault | None) -> tuple[str, str] | None:
        """`(provider, model)` when a local or moved server lists a model no catalogue knows."""
        for provider in self._catalogue.providers.values():
            name = ProviderName(provider.public_name, provider)
            asked = provider.id in LOCAL_SERVERS or name.is_moved(self._environ)
            if not asked or not await self._usable(name, vault):
                continue
            if model in await self._served(name, vault):
                return name.text, model
        return None

    async def default_model(self, name: ProviderName, kind: str, vault: Vault | None) -> str:
        """The model of a provider when nobody named one, `""` when there is none.

        `<ID>_MODEL` decides. Else a server that is not the published one is asked what it has:
        the model of the class if it has that, else its first.
        """
        chosen = self._environ.get(name.model_key, "").strip()
        if chosen:
            return chosen
        model = class_model(kind, name.provider.id, self._catalogue)
        if name.provider.local or name.is_moved(self._environ):
            served = await self._served(name, vault)
            if served and model not in served:
                return served[0]
        return model

    async def _served(self, name: ProviderName, vault: Vault | None) -> list[str]:
        if name.provider.driver != "openai_compat":
            return []
        key = await self._keys.find(name.env_keys, vault)
        return await self._probe.models(base_url(name, self._environ), key)

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
            if not await self._usable(name, vault):
                continue
            if name.provider.local and not await self._served(name, vault):
                continue
            model = model or await self.default_model(name, kind, vault)
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
