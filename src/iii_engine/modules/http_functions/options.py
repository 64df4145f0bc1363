"""Options of `iii-http-functions`."""

from __future__ import annotations

from msgspec import Struct, field

from iii_engine.net.client.security import Security


class HttpFunctionsOptions(Struct, forbid_unknown_fields=True):
    """What workers may have the engine request."""

    #: Where calls may go.
    security: Security = field(default_factory=Security)
