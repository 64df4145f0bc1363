"""Headers that a registration asks for, and which of them it may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from iii_engine.net.client.header_syntax import is_header_name, is_header_value
from iii_sdk.errors import BusError

#: They belong to the connection or to its framing, or say who is called.
_OWN: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class BadInvocation(BusError):
    """The `invocation` of a registration cannot be used; the message names the field."""

    code = "invalid_message"


def is_reserved(name: str) -> bool:
    """Does the engine alone set this header?"""
    name = name.lower()
    return name in _OWN or name.startswith("x-iii-")


def check_name(name: str, field: str) -> None:
    """Raises `BadInvocation`."""
    if not is_header_name(name):
        raise BadInvocation(f"{field}: not a header name")


def custom_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that may be sent. Raises `BadInvocation` for what is not a header.

    Values are never repeated in errors: they may be secrets.
    """
    for name, value in headers.items():
        check_name(name, f"invocation.headers[{name!r}]")
        if not is_header_value(value):
            raise BadInvocation(f"invocation.headers[{name!r}]: not a header value")
    return {name: value.strip() for name, value in headers.items() if not is_reserved(name)}
