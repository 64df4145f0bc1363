"""Where an HTTP endpoint lives: its URL, taken apart and judged."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from iii_engine.net.client.addresses import is_private
from iii_engine.net.client.security import Security
from iii_sdk.errors import BusError

_PORTS: Final = {"http": 80, "https": 443}
_VISIBLE: Final = re.compile(r"[!-~]+")
_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_V6: Final = re.compile(r"[0-9a-f:.]+")
_V4: Final = re.compile(r"[0-9.]+")


class UrlRefused(BusError):
    """The URL must not be requested; the message says why and does not repeat it."""

    code = "url_validation_failed"


@dataclass(frozen=True)
class Origin:
    """What connections are shared by. `host` is a name or an address without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def literal(self) -> bool:
        """Is the host an address in its usual form, so that there is nothing to look up?"""
        return ":" in self.host or _V4.fullmatch(self.host) is not None

    @property
    def header(self) -> str:
        """The value of `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class Target:
    """An origin and what to request there, path and query."""

    origin: Origin
    resource: str


def read_target(url: str, security: Security) -> Target:
    """Take a URL apart and check all that needs no name look-up. Raises `UrlRefused`."""
    target = _parse(url)
    origin = target.origin
    if origin.scheme != "https" and security.require_https:
        raise UrlRefused("HTTPS is required")
    if origin.scheme not in _PORTS:
        raise UrlRefused("Invalid URL")
    if not any(_glob(pattern).fullmatch(origin.host) for pattern in security.url_allowlist):
        raise UrlRefused("URL not in allowlist")
    if origin.literal:
        check_addresses([origin.host], security)
    return target


def check_addresses(addresses: list[str], security: Security) -> None:
    """One private address among them is enough to refuse all. Raises `UrlRefused`."""
    if security.block_private_ips and any(is_private(address) for address in addresses):
        raise UrlRefused("Private IP blocked")


def _parse(url: str) -> Target:
    """Raises `UrlRefused` for what is not a plain absolute URL, and for credentials in it."""
    if _VISIBLE.fullmatch(url) is None or "\\" in url:
        raise UrlRefused("Invalid URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefused("Invalid URL") from None
    host = (parts.hostname or "").removesuffix(".")
    shape = _V6 if ":" in host else _NAME
    if shape.fullmatch(host) is None or "@" in parts.netloc or port == 0:
        raise UrlRefused("Invalid URL")
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(Origin(parts.scheme, host, port or _PORTS.get(parts.scheme, 0)), resource)


def _glob(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern.lower().removesuffix("."))
    return re.compile(escaped.replace(r"\*", ".*").replace(r"\?", "."))
