"""Provider keys: from the vault when there is one, else from the environment. Never shown.

The vault is asked over the bus; while nobody offers `vault::get` it is not asked again for a
minute, so that a system without a vault pays for one failed call, not for one per completion.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from iii_sdk.errors import BusError

REMEMBER_S = 60.0
_LOOKS_LIKE_KEY = re.compile(r"\b(?:sk|gsk|xai|pplx|hf|r8|ghp|gho)[-_][A-Za-z0-9_\-*.]{6,}")
_BEARER = re.compile(r"(?i)\bbearer\s+[A-Za-z0-9_\-.~+/]{6,}=*")


class VaultEntry(msgspec.Struct):
    """The part of a vault answer that matters here."""

    value: str = ""


class Vault(Protocol):
    """Where keys may be kept: raises `BusError` when it has none, is locked or absent."""

    async def get(self, key: str) -> str:
        """The stored value of a key."""


class KeyRing:
    """Finds keys by the names of their variables, and removes them from texts."""

    def __init__(
        self, environ: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._vault_absent_until = 0.0
        self._remembered: dict[str, tuple[float, str]] = {}

    async def find(self, names: Iterable[str], vault: Vault | None) -> str:
        """The first of these keys that is set, or `""`."""
        for name in names:
            value = await self._from_vault(name, vault) or self._environ.get(name, "").strip()
            if value:
                return value
        return ""

    async def _from_vault(self, name: str, vault: Vault | None) -> str:
        now = self._clock()
        if vault is None or now < self._vault_absent_until:
            return ""
        until, value = self._remembered.get(name, (0.0, ""))
        if now < until:
            return value
        try:
            value = await vault.get(name)
        except BusError as error:
            # Locked, without this key, or not deployed: the environment decides.
            if error.code == "function_not_found":
                self._vault_absent_until = now + REMEMBER_S
            value = ""
        self._remembered[name] = (now + REMEMBER_S, value)
        return value


def scrub(text: str, key: str = "") -> str:
    """A text without the key, and without anything that looks like one."""
    if key:
        text = text.replace(key, "***")
    return _BEARER.sub("Bearer ***", _LOOKS_LIKE_KEY.sub("***", text))
