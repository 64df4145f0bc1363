"""Options of `iii-cluster`."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from iii_engine.net.server_url import masked
from iii_sdk.errors import BusError

SCHEMES: Final = ("nats", "tls")
#: What may be one part of a NATS subject.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ClusterOptions(Struct, forbid_unknown_fields=True):
    """Who belongs together, and where they meet."""

    #: Servers of one NATS, separated by commas: `nats://` or `tls://`, with user and password or a
    #: token where it wants them.
    nats_url: str = "nats://127.0.0.1:4222"
    #: What the others call this engine; by default its host and process id.
    name: str | None = None
    #: Engines with the same one are one bus. Letters, digits, `-` and `_`.
    cluster: str = "default"
    #: Milliseconds after which an engine says again that it is alive.
    heartbeat_ms: int = 1000
    #: An engine that says nothing for so many milliseconds counts as gone.
    silence_ms: int = 4000


class BadClusterOption(BusError):
    """An option of `iii-cluster` cannot be used; nothing was started."""

    code = "bad_cluster_option"


def servers(options: ClusterOptions) -> list[str]:
    """The addresses in `nats_url`."""
    return [part.strip() for part in options.nats_url.split(",") if part.strip()]


def check(options: ClusterOptions) -> None:
    """Raises `BadClusterOption` that names the option."""
    if not servers(options):
        raise BadClusterOption("$.nats_url: no address of a NATS server")
    if not all(map(_is_address, servers(options))):
        known = " or ".join(f"{scheme}://host:port" for scheme in SCHEMES)
        # Not that one alone: a comma in a password makes two of it.
        raise BadClusterOption(f"$.nats_url: {masked(options.nats_url)!r} is not {known}")
    if not _TOKEN.fullmatch(options.cluster):
        raise BadClusterOption(
            "$.cluster: expected 1 to 64 letters, digits, '-' or '_', got "
            f"{options.cluster[:100]!r}"
        )
    if options.name is not None and not options.name.strip():
        raise BadClusterOption("$.name: it is empty")
    if options.heartbeat_ms < 10:
        raise BadClusterOption(f"$.heartbeat_ms: at least 10, got {options.heartbeat_ms}")
    if options.silence_ms < 2 * options.heartbeat_ms:
        raise BadClusterOption(
            f"$.silence_ms: at least two heartbeats ({2 * options.heartbeat_ms}), "
            f"got {options.silence_ms}"
        )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
