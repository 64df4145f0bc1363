"""Requests as bytes: JSON, which needs nothing, or protobuf, which needs an extra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import msgspec

from iii_engine.modules.observability.export.messages import Request
from iii_sdk.errors import BusError

Protocol: TypeAlias = Literal["http/json", "http/protobuf"]
Encode: TypeAlias = Callable[[Request], bytes]

CONTENT_TYPES: Final[dict[Protocol, str]] = {
    "http/json": "application/json",
    "http/protobuf": "application/x-protobuf",
}


def encoder(protocol: Protocol) -> Encode:
    """Raises `BusError` that names the extra when it is not installed."""
    if protocol == "http/json":
        return msgspec.json.encode
    try:
        from iii_engine.modules.observability.export.protobuf import encode
    except ImportError:
        raise BusError(
            "config.otlp_protocol: `http/protobuf` needs opentelemetry-proto: "
            "install agentos[otlp], or use `http/json`",
            code="missing_extra",
        ) from None
    return encode
