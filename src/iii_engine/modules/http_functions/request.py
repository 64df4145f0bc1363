"""The HTTP request that a call becomes."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from iii_engine.core.router import Call
from iii_engine.modules.http_functions.credentials import Credentials
from iii_engine.modules.http_functions.headers import (
    BadInvocation,
    custom_headers,
)
from iii_engine.net.client.header_syntax import is_header_value
from iii_engine.net.client.target import Target
from iii_engine.version import VERSION
from iii_sdk.protocol import HttpInvocation
from iii_sdk.traceparent import parse_traceparent

DEFAULT_TIMEOUT_MS: Final = 30_000
MAX_TIMEOUT_MS: Final = 60_000

#: What may be repeated on a new connection when the old one turns out to be closed.
_REPEATABLE: Final = frozenset({"GET", "PUT", "DELETE"})


class RemoteFunction:
    """One registration, checked: everything about its requests that no call changes."""

    def __init__(
        self,
        function_id: str,
        invocation: HttpInvocation,
        target: Target,
        credentials: Credentials,
    ) -> None:
        """Raises `BadInvocation`."""
        timeout = DEFAULT_TIMEOUT_MS if invocation.timeout_ms is None else invocation.timeout_ms
        if timeout <= 0:
            raise BadInvocation("invocation.timeout_ms: not a positive number")
        self.id = function_id
        self.target = target
        self.timeout_ms = min(timeout, MAX_TIMEOUT_MS)
        self.repeatable = invocation.method in _REPEATABLE
        self._method = invocation.method
        self._credentials = credentials
        self._custom = custom_headers(invocation.headers or {})

    def request(self, call: Call, now_seconds: int) -> bytes:
        """The bytes to send. Raises `BusError` when a credential is gone."""
        body = bytes(call.data)
        if self._method in ("GET", "DELETE") and body.strip() == b"null":
            body = b""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"iii-engine/{VERSION}",
        }
        _put(headers, self._custom)
        _put(headers, self._about(call, now_seconds))
        _put(headers, self._credentials.headers(now_seconds, body))
        headers["Host"] = self.target.origin.header
        if body or self._method not in ("GET", "DELETE"):
            headers["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{self._method} {self.target.resource} HTTP/1.1\r\n{lines}\r\n"
        return head.encode("ascii") + body

    def _about(self, call: Call, now_seconds: int) -> dict[str, str]:
        """What tells the endpoint which call this is."""
        headers = {
            "x-iii-Function-Path": _as_header(self.id),
            "x-iii-Invocation-ID": call.id,
            "x-iii-Timestamp": str(now_seconds),
        }
        if (trace := parse_traceparent(call.traceparent)) is not None:
            headers["x-iii-Trace-ID"] = trace[0]
            headers["traceparent"] = call.traceparent
        if call.baggage and is_header_value(call.baggage):
            headers["baggage"] = call.baggage
        return headers


def _put(headers: dict[str, str], more: dict[str, str]) -> None:
    """Set headers; a name counts in any case."""
    names = {name.lower(): name for name in headers}
    for name, value in more.items():
        previous = names.get(name.lower())
        if previous is not None:
            del headers[previous]
        headers[name] = value
        names[name.lower()] = name


def _as_header(text: str) -> str:
    """A function id may hold any character; those that a header cannot are percent-encoded."""
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    return quote(text, safe="!#$&'()*+,/:;=?@[]^_`{|}~\"<>", errors="replace")
