"""Options of `iii-http-functions`."""

from __future__ import annotations

from msgspec import Struct, field


class Security(Struct, forbid_unknown_fields=True):
    """Where calls may go. `url_allowlist` holds globs (`*`, `?`) that the host must match."""

    url_allowlist: list[str] = field(default_factory=lambda: ["*"])
    block_private_ips: bool = True
    require_https: bool = True


class HttpFunctionsOptions(Struct, forbid_unknown_fields=True):
    """What workers may have the engine request."""

    security: Security = field(default_factory=Security)
