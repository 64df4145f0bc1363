"""What is known of who asks, read once for all the requests that a client sends alike."""

from __future__ import annotations

import msgspec

from iii_engine.modules.http.cors import Cors
from iii_engine.modules.http.options import HttpOptions
from iii_engine.modules.http.payload import Head, read_head

_encode = msgspec.json.encode


class Client:
    """Headers that were sent on a connection, and what follows from them under some options."""

    __slots__ = ("_id_field", "_lines", "cors", "fields", "head", "headers", "options", "scheme")

    def __init__(
        self, headers: list[tuple[bytes, bytes]], peer: str, options: HttpOptions, cors: Cors
    ) -> None:
        self.headers = headers
        self.options = options
        name = options.request_id_header.lower()
        self.head: Head = read_head(headers, name)
        #: What it uses, as far as its proxy says so and is trusted.
        self.scheme = "http"
        #: Header lines of the answers to its origin.
        self.cors = cors.lines(self.head.origin)
        self.fields = self._describe(peer)
        comma = "," if len(self.head.json) > 1 else ""
        self._id_field = f'{comma}"{name}":"'
        self._lines = f"{name}: "

    def _describe(self, peer: str) -> bytes:
        """Fields of a payload: address, scheme, and the headers, whose object is left open."""
        head, address = self.head, peer
        if self.options.trust_proxy:
            if head.forwarded_for:
                address = head.forwarded_for.partition(",")[0].strip()
            if head.forwarded_proto:
                self.scheme = head.forwarded_proto.partition(",")[0].strip()
        return b',"client_ip":%b,"remote_addr":%b,"scheme":%b,"headers":%b' % (
            _encode(address),
            _encode(peer),
            _encode(self.scheme),
            head.json,
        )

    def known_by(self, headers: list[tuple[bytes, bytes]], options: HttpOptions) -> bool:
        """Whether it would be just the same for these headers and options."""
        return self.headers == headers and self.options is options

    def end_of_headers(self, request_id: str) -> bytes:
        """What closes the object of the headers: the request's id, if the client gave none."""
        if self.head.request_id is not None:
            return b"}"
        return f'{self._id_field}{request_id}"}}'.encode()

    def headers_json(self, request_id: str) -> bytes:
        """The headers as handlers see them."""
        return self.head.json + self.end_of_headers(request_id)

    def answer_lines(self, request_id: str, names: frozenset[str]) -> bytes:
        """Header lines that every answer has, unless the handler set them: `names` are its own."""
        cors = self.cors
        if names:
            if "access-control-allow-origin" in names:
                cors = b""
            if self.options.request_id_header.lower() in names:
                return cors
        return f"{self._lines}{request_id}\r\n".encode() + cors
