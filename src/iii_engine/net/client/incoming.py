"""A response while it arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import httptools

from iii_engine.core.sizes import MIB
from iii_sdk.errors import BusError

#: Largest response body, in bytes.
MAX_BODY: Final = 16 * MIB
#: Largest status line with headers, in bytes.
MAX_HEAD: Final = 64 * 1024


class RequestFailed(BusError):
    """No response: not connected, refused, no HTTP, or too slow."""

    code = "http_request_failed"


class ResponseFailed(BusError):
    """The response began, but its body did not arrive whole."""

    code = "http_response_failed"


@dataclass
class Response:
    """Header names are lower-case; of equal ones the last counts."""

    status: int
    reason: str
    body: bytes
    headers: dict[str, str]


class Incoming:
    """What arrived of the response to one request. Interim responses (1xx) are passed over."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._received = 0
        self.complete = False
        #: Whole, followed by nothing, and the other side keeps the connection open.
        self.keeps_alive = False
        self._clear()

    def _clear(self) -> None:
        self._status = 0
        self._reason = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._delimited = False
        self.in_body = False

    @property
    def begun(self) -> bool:
        """Has any byte arrived?"""
        return self._received > 0

    def feed(self, data: bytes) -> None:
        """Take what arrived. Raises `RequestFailed`, `ResponseFailed`."""
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise self.failure("not a valid HTTP/1.1 response") from None
        if self._size > MAX_BODY or self._received > 2 * MAX_BODY:
            raise self.failure(f"the response body is larger than {MAX_BODY} bytes")
        if not self.in_body and self._received > MAX_HEAD:
            raise self.failure(f"the response head is larger than {MAX_HEAD} bytes")

    def ends_here(self) -> bool:
        """The connection ended: is that how this response ends?"""
        return self.in_body and not self._delimited

    def failure(self, message: str) -> BusError:
        """The error for a response that ends now, by how far it came."""
        return ResponseFailed(message) if self.in_body else RequestFailed(message)

    def response(self) -> Response:
        reason, body = self._reason.decode("latin-1"), b"".join(self._body)
        return Response(self._status, reason, body, self._headers)

    # -- what the parser calls -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:  # nobody asked for another
            self.keeps_alive = False

    def on_status(self, reason: bytes) -> None:
        if not self.complete:
            self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_body:
            return
        name = name.lower()
        self._headers[name.decode("latin-1")] = value.decode("latin-1")
        if name in (b"content-length", b"transfer-encoding"):
            self._delimited |= name == b"content-length" or b"chunked" in value.lower()

    def on_headers_complete(self) -> None:
        if not self.complete:
            self._status = self._parser.get_status_code()
            self.in_body = self._status >= 200

    def on_body(self, data: bytes) -> None:
        if self.complete:
            return
        self._size += len(data)
        if self._size <= MAX_BODY:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._status < 200:
            self._clear()
        elif not self.complete:
            self.complete = True
            self.keeps_alive = self._parser.should_keep_alive()
