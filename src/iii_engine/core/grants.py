"""What an auth function allows one connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Raw, Struct

from iii_sdk.protocol import is_null


class GrantRefused(Exception):
    """An auth function answered, but not with a grant. The text is for the client."""


class AuthResult(Struct):
    """The answer of an auth function. Null is as good as absent."""

    allowed_functions: frozenset[str] | None = None
    forbidden_functions: frozenset[str] | None = None
    allowed_trigger_types: frozenset[str] | None = None
    allow_trigger_type_registration: bool | None = None
    allow_function_registration: bool | None = None
    allow_endpoint_registration: bool | None = None
    function_registration_prefix: str | None = None
    context: dict[str, Raw] | None = None


@dataclass(frozen=True)
class Grant:
    """The rights of a session. Two sessions with equal grants are the same party.

    `allowed_trigger_types` None means all; `context` is given to hooks and to the middleware.
    """

    allowed_functions: frozenset[str] = frozenset()
    forbidden_functions: frozenset[str] = frozenset()
    allowed_trigger_types: frozenset[str] | None = None
    may_register_trigger_types: bool = False
    may_register_functions: bool = True
    may_register_endpoints: bool = False
    prefix: str | None = None
    context: dict[str, Raw] = field(default_factory=dict)


#: Without an auth function everybody on the listener has these.
OPEN: Final = Grant(may_register_trigger_types=True)

_decode: Final = msgspec.json.Decoder(AuthResult).decode


def read_grant(result: Raw) -> Grant:
    """The grant in an auth function's result. Raises `GrantRefused`."""
    if is_null(result):
        raise GrantRefused("auth function returned no result")
    try:
        found = _decode(result)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GrantRefused(str(error)) from None
    return Grant(
        found.allowed_functions or frozenset(),
        found.forbidden_functions or frozenset(),
        found.allowed_trigger_types,
        bool(found.allow_trigger_type_registration),
        found.allow_function_registration is not False,
        bool(found.allow_endpoint_registration),
        found.function_registration_prefix or None,
        # Copies: the parts would keep the whole answer alive.
        {key: Raw(bytes(value)) for key, value in (found.context or {}).items()},
    )
