"""Where the engine is, and the addresses of its sockets."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit

from iii_sdk.masking import masked
from iii_sdk.protocol import ChannelRef

DEFAULT_URL = "ws://localhost:49134"

#: Environment variables that name the engine; the first that is set wins.
URL_VARIABLES = ("III_URL", "III_WS_URL", "III_ENGINE_URL")


def engine_url(url: str | None = None) -> str:
    """The engine's address: as given, else from the environment, else the default."""
    if url:
        return url
    for name in URL_VARIABLES:
        if value := os.environ.get(name):
            return value
    return DEFAULT_URL


def token_headers() -> dict[str, str]:
    """`Authorization` from `III_TOKEN`; empty when it is not set."""
    token = os.environ.get("III_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


@dataclass(frozen=True)
class Address:
    """An engine's address and the headers each of its sockets is opened with.

    Raises `ValueError` for anything but `ws://` and `wss://`.
    """

    url: str
    headers: dict[str, str] = field(default_factory=token_headers)

    def __post_init__(self) -> None:
        if not _is_websocket(self.url):
            raise ValueError(f"engine address {masked(self.url)!r} is not a ws:// or wss:// URL")

    def channel(self, ref: ChannelRef) -> str:
        """The address of one end of a channel; the base query comes first."""
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/ws/channels/{quote(ref.channel_id, safe='')}"
        own = f"key={quote(ref.access_key, safe='')}&dir={ref.direction}"
        query = f"{parts.query}&{own}" if parts.query else own
        return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def _is_websocket(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (refuses what is no port)
    except ValueError:
        return False
    return parts.scheme in ("ws", "wss") and bool(parts.hostname)
