"""Where a provider is reached: its name (with an optional profile), base URL and key.

`openai@work` is the provider `openai` with the settings of the profile `work`: its key comes from
`OPENAI_API_KEY_WORK`, its base URL from `OPENAI_BASE_URL_WORK`. Base URLs come from the environment
only, never from a payload: whoever names the host receives the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from agentos.workers.llm_router.catalogue import Catalogue, Provider
from agentos.workers.llm_router.keys import KeyRing, Vault
from iii_sdk.errors import InvalidInput, NotConfigured

_NOT_IN_VARIABLE = re.compile(r"[^A-Z0-9]")
_PROFILE = re.compile(r"[A-Za-z0-9_-]{1,64}")

DRIVERS = ("anthropic", "openai_compat", "offline")
"""The wire formats this version speaks."""

OFFLINE_PROVIDER = Provider(
    id="offline",
    name="Built in, no model",
    driver="offline",
    base_url="",
    env_keys=("",),
    required=False,
)


class ProviderName(msgspec.Struct, frozen=True):
    """A provider as named by a caller: `text` is what they wrote."""

    text: str
    provider: Provider
    profile: str = ""

    @property
    def env_keys(self) -> tuple[str, ...]:
        """Variables that may hold the key; those of a profile never fall back to the plain ones."""
        return tuple(self._with_profile(name) for name in self.provider.env_keys)

    @property
    def base_url_keys(self) -> tuple[str, ...]:
        """Variables that may hold the base URL, first wins."""
        names = dict.fromkeys((self.provider.id, self.provider.public_name))
        return tuple(self._with_profile(f"{name.upper()}_BASE_URL") for name in names)

    @property
    def model_key(self) -> str:
        """The variable that may name the model to use when nobody names one."""
        return self._with_profile(f"{self.provider.public_name.upper()}_MODEL")

    def is_moved(self, environ: Mapping[str, str]) -> bool:
        """True when the environment sets a base URL: the server may not be the published one."""
        return any(environ.get(variable, "").strip() for variable in self.base_url_keys)

    def _with_profile(self, name: str) -> str:
        if not self.profile:
            return name
        return f"{name}_{_NOT_IN_VARIABLE.sub('_', self.profile.upper())}"


class Endpoint(msgspec.Struct, frozen=True):
    """A provider ready to be called. `key` is `""` for one that needs none."""

    name: ProviderName
    base_url: str
    key: str = ""

    def __repr__(self) -> str:
        return f"Endpoint({self.label}, {self.host})"

    @property
    def provider(self) -> Provider:
        """The catalogue row."""
        return self.name.provider

    @property
    def label(self) -> str:
        """The provider's name in messages: as the caller wrote it."""
        return self.name.text

    @property
    def host(self) -> str:
        """Scheme, host and port, without path or credentials: safe to show."""
        parts = urlsplit(self.base_url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}"


def provider_name(text: str, catalogue: Catalogue) -> ProviderName:
    """Read `id`, a public name, or `id@profile`."""
    name, _, profile = text.partition("@")
    provider = OFFLINE_PROVIDER if name == "offline" else catalogue.provider(name)
    if provider is None or ("@" in text and not _PROFILE.fullmatch(profile)):
        raise InvalidInput(f"Unknown provider: {text}")
    return ProviderName(text, provider, profile)


def base_url(name: ProviderName, environ: Mapping[str, str]) -> str:
    """The address that is really called; a malformed override is an error naming its variable."""
    for variable in name.base_url_keys:
        value = environ.get(variable, "").strip().rstrip("/")
        if not value:
            continue
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotConfigured(f"{variable} is not an http(s) address")
        return value
    return name.provider.call_url or name.provider.base_url


async def endpoint(
    name: ProviderName, environ: Mapping[str, str], keys: KeyRing, vault: Vault | None
) -> Endpoint:
    """The endpoint of a provider; a missing key fails here, not with a 401 from the provider."""
    provider = name.provider
    if provider.driver not in DRIVERS:
        raise NotConfigured(
            f"Provider {name.text} needs the driver {provider.driver!r}, which this version does "
            f"not have. Drivers: {', '.join(DRIVERS)}"
        )
    if provider.opt_in_env and environ.get(provider.opt_in_env) != "1":
        raise NotConfigured(f"Provider {name.text} is off; set {provider.opt_in_env}=1 to use it")
    key = await keys.find(name.env_keys, vault) if provider.env_key else ""
    if provider.required and not key:
        raise NotConfigured(f"{name.env_keys[0]} not set")
    return Endpoint(name, base_url(name, environ), key)


async def is_configured(name: ProviderName, keys: KeyRing, vault: Vault | None) -> bool:
    """True when the provider needs no key or its key is present."""
    return not name.provider.required or bool(await keys.find(name.env_keys, vault))
