"""Where OTLP goes: one URL for each signal, from the one endpoint of the options.

The engine speaks OTLP over HTTP. Port 4317 without a path is by convention OTLP over gRPC, which it
does not speak; collectors that listen there listen for HTTP on 4318, so that is where it sends.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

from iii_engine.net.client.header_syntax import is_header_name, is_header_value
from iii_engine.net.client.security import CONFIGURED
from iii_engine.net.client.target import Target, UrlRefused, read_target
from iii_sdk.errors import BusError

Signal: TypeAlias = Literal["traces", "logs", "metrics"]
SIGNALS: Final[tuple[Signal, ...]] = ("traces", "logs", "metrics")

GRPC_PORT: Final = 4317
HTTP_PORT: Final = 4318


@dataclass(frozen=True)
class Endpoint:
    """`note` says when it is not just what the options say. `shown` has no secrets."""

    targets: Mapping[Signal, Target]
    headers: Mapping[str, str]
    shown: str
    note: str | None = None


def read_endpoint(url: str, headers: Mapping[str, str]) -> Endpoint:
    """Raises `BusError` that names the option and not the URL, which may hold a password.

    A user in the URL becomes a header. The path is a base; that of one signal counts as it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad("Invalid URL") from None
    host = parts.netloc.rpartition("@")[2]
    check_headers(headers)
    own = dict(headers)
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        own.setdefault("Authorization", f"Basic {b64encode(pair.encode()).decode()}")
    path, note = parts.path.rstrip("/"), None
    if port == GRPC_PORT and not path:
        host = f"{host.removesuffix(f':{GRPC_PORT}')}:{HTTP_PORT}"
        note = (
            f"port {GRPC_PORT} is that of OTLP over gRPC; the engine speaks OTLP over HTTP and "
            f"sends to port {HTTP_PORT} instead (name that port, or a path, to decide otherwise)"
        )
    for signal in SIGNALS:
        path = path.removesuffix(f"/v1/{signal}")
    try:
        targets = {
            signal: read_target(
                urlunsplit((parts.scheme, host, f"{path}/v1/{signal}", parts.query, "")),
                CONFIGURED,
            )
            for signal in SIGNALS
        }
    except UrlRefused as error:
        raise _bad(error.message) from None
    return Endpoint(targets, own, f"{parts.scheme}://{host}{path}", note)


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises `BusError` that names the header; its value may be a secret."""
    for name, value in headers.items():
        if not is_header_name(name) or not is_header_value(value):
            raise BusError(f"config.otlp_headers: {name!r} is no header", code="invalid_config")


def _bad(message: str) -> BusError:
    return BusError(f"config.endpoint: {message}", code="invalid_config")
