"""The model catalogue: 47 models, 46 aliases, 27 providers, read once from `data/`.

Prices are USD per 1,000,000 tokens. A model has an `id` (ours, unique) and an `api_model` (what
the provider is sent): the ids of resellers are not the ids their services know.
"""

from __future__ import annotations

import csv
import functools
import tomllib
from collections.abc import Iterable
from importlib import resources

import msgspec

from iii_sdk.errors import NotFound

TIERS = ("fast", "balanced", "smart", "frontier", "local")


class Model(msgspec.Struct, frozen=True, rename="camel", omit_defaults=False):
    """One row of the catalogue, in the form `catalog::models` shows it."""

    id: str
    provider: str
    name: str
    tier: str
    context_window: int
    max_output: int
    input_price: float
    output_price: float
    cache_read_price: float
    cache_write_price: float
    supports_tools: bool
    supports_vision: bool
    api_model: str
    local: bool = False


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One provider; the meaning of the fields is told at the top of `data/providers.toml`."""

    id: str
    name: str
    driver: str
    base_url: str
    env_keys: tuple[str, ...]
    required: bool = True
    local: bool = False
    router_id: str = ""
    call_url: str = ""
    chat_path: str = "chat/completions"
    token_exchange_url: str = ""
    opt_in_env: str = ""
    ambient_key: bool = False
    tools: bool = True
    alternating_roles: bool = False
    short_call_ids: bool = False
    stream_usage: bool = True
    reasoning_prefixes: tuple[str, ...] = ()
    extra_models: tuple[str, ...] = ()
    headers: dict[str, str] = {}

    @property
    def public_name(self) -> str:
        """The id used in route results, usage and `llm::providers`."""
        return self.router_id or self.id

    @property
    def env_key(self) -> str:
        """The environment variable people are told to set."""
        return self.env_keys[0]


class Catalogue:
    """Lookup over the three data files. Immutable after construction."""

    def __init__(
        self, models: Iterable[Model], aliases: dict[str, str], providers: Iterable[Provider]
    ) -> None:
        self.models: dict[str, Model] = {model.id: model for model in models}
        self.aliases = aliases
        self.providers: dict[str, Provider] = {provider.id: provider for provider in providers}
        self._provider_names = {p.public_name: p for p in self.providers.values()}

    def provider(self, name: str) -> Provider | None:
        """The provider of that id or public name (`gemini` and `google` are the same)."""
        return self.providers.get(name) or self._provider_names.get(name)

    def find(self, name: str) -> Model | None:
        """Resolve `provider/id` exactly, else an alias (any case), else an id."""
        provider_name, slash, exact = name.partition("/")
        if slash and (provider := self.provider(provider_name)) is not None:
            return self.find_within(provider, exact, aliases=False)
        return self.models.get(self.aliases.get(name.lower(), name))

    def find_within(self, provider: Provider, name: str, *, aliases: bool = True) -> Model | None:
        """Resolve a name inside one provider: its id, its wire id, then an alias leading to it."""
        row = self.models.get(name)
        if row is not None and row.provider == provider.id:
            return row
        for row in self.of_provider(provider.id):
            if row.api_model == name:
                return row
        target = self.models.get(self.aliases.get(name.lower(), "")) if aliases else None
        return target if target is not None and target.provider == provider.id else None

    def resolve(self, name: str) -> Model:
        """As `find`, but an unknown name is an error."""
        found = self.find(name)
        if found is None:
            raise NotFound(f"Unknown model: {name}")
        return found

    def of_provider(self, provider_id: str) -> list[Model]:
        """The rows of one provider, in catalogue order."""
        return [model for model in self.models.values() if model.provider == provider_id]

    def select(
        self, tier: str | None = None, provider: str | None = None, tools: bool | None = None
    ) -> list[Model]:
        """The rows that pass every filter given."""
        wanted = self.provider(provider) if provider is not None else None
        if provider is not None and wanted is None:
            return []
        return [
            model
            for model in self.models.values()
            if (tier is None or model.tier == tier)
            and (wanted is None or model.provider == wanted.id)
            and (tools is None or model.supports_tools == tools)
        ]


@functools.cache
def catalogue() -> Catalogue:
    """The shipped catalogue, read at first use."""
    data = resources.files(__package__) / "data"
    models = [_model(row) for row in csv.DictReader((data / "models.csv").read_text().splitlines())]
    aliases = {
        row["alias"]: row["model"]
        for row in csv.DictReader((data / "aliases.csv").read_text().splitlines())
    }
    table = tomllib.loads((data / "providers.toml").read_text())
    return Catalogue(models, aliases, msgspec.convert(table["provider"], list[Provider]))


def _model(row: dict[str, str]) -> Model:
    """A row of the file. Cache prices left out are 0.1 and 1.25 of the input price."""
    input_price = float(row["input_price"])
    return Model(
        id=row["id"],
        provider=row["provider"],
        name=row["name"],
        tier=row["tier"],
        context_window=int(row["context_window"]),
        max_output=int(row["max_output"]),
        input_price=input_price,
        output_price=float(row["output_price"]),
        cache_read_price=float(row["cache_read_price"] or round(input_price * 0.1, 6)),
        cache_write_price=float(row["cache_write_price"] or round(input_price * 1.25, 6)),
        supports_tools=row["supports_tools"] == "true",
        supports_vision=row["supports_vision"] == "true",
        api_model=row["api_model"] or row["id"],
    )
