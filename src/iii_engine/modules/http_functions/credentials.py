"""Credentials of HTTP-invoked functions: names of environment variables, read at every call."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, NamedTuple

from iii_engine.modules.http_functions.headers import (
    BadInvocation,
    check_name,
    is_reserved,
)
from iii_engine.net.client.header_syntax import is_header_value
from iii_sdk.errors import BusError
from iii_sdk.protocol import HttpAuth


class _Secret(NamedTuple):
    """The field that names its variable, and the code when that is not set."""

    field: str
    code: str


_SECRETS: Final = {
    "hmac": _Secret("secret_key", "secret_not_found"),
    "bearer": _Secret("token_key", "token_not_found"),
    "api_key": _Secret("value_key", "api_key_not_found"),
}


class Credentials:
    """How the requests of one function are authenticated. Raises `BusError` when they cannot be.

    Messages name variables, never their values.
    """

    def __init__(self, auth: HttpAuth | None, environment: Mapping[str, str]) -> None:
        self._auth = auth
        self._environment = environment
        if auth is None:
            return
        if auth.type == "api_key":
            check_name(auth.header or "", "invocation.auth.header")
            if is_reserved(auth.header or ""):
                raise BadInvocation("invocation.auth.header: set by the engine")
        self._value(auth)

    def headers(self, timestamp: int, body: bytes) -> dict[str, str]:
        """The headers to add to a request. Raises `BusError` when a variable is gone."""
        auth = self._auth
        if auth is None:
            return {}
        value = self._value(auth)
        if auth.type == "hmac":
            return {"x-iii-Signature": f"sha256={signature(value, timestamp, body)}"}
        if auth.type == "bearer":
            return {"Authorization": f"Bearer {value}"}
        return {auth.header or "": value}

    def _value(self, auth: HttpAuth) -> str:
        field, code = _SECRETS[auth.type]
        name: str | None = getattr(auth, field)
        if not name:
            raise BusError(
                f"invocation.auth.{field}: names no environment variable", code="missing_env_var"
            )
        value = self._environment.get(name)
        if not value:
            raise BusError(f"environment variable {name} of the engine is not set", code=code)
        if auth.type != "hmac" and not is_header_value(value):
            raise BusError(
                f"environment variable {name} of the engine cannot be sent in a header",
                code=code,
            )
        return value


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 over `<timestamp>:<base64 of the body>`, in hexadecimal."""
    message = b"%d:%b" % (timestamp, base64.b64encode(body))
    return hmac.new(secret.encode("utf-8", "surrogateescape"), message, hashlib.sha256).hexdigest()
