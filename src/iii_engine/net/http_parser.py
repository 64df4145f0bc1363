"""From bytes to requests: framing and its limits, HTTP/1.1.

httptools finds the frames; what a framing attack could hide in (both lengths, other codings,
folded headers, missing or double `Host`) is refused here or there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import httptools

from iii_engine.net.http_exchange import Exchange

if TYPE_CHECKING:
    from iii_engine.net.http_limits import HttpLimits
    from iii_engine.net.http_protocol import HttpProtocol

#: Status and text with which a request is refused that has no meaning for an application.
Refusal: TypeAlias = tuple[int, str]

#: Headers that the protocol itself reads.
_OWN = frozenset({b"host", b"expect", b"transfer-encoding", b"content-length", b"content-type"})

#: A name or address with an optional port; empty where the target has no authority (RFC 9110).
_HOST = re.compile(
    rb"(?:\[[0-9A-Za-z:.%~_-]+\]|[0-9A-Za-z._~!$&'()*+,;=%\x80-\xff-]*)(?::[0-9]*)?[ \t]*"
)

#: One string per method, so that looking it up does not hash it anew.
_METHODS: Final = {
    name.encode(): name for name in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
}


class RequestParser:
    """Reads the requests of one connection.

    `take(exchange)` is called with each complete head, `whole()` at the end of each body. Nothing
    more is read once `stopped` is set, here after a request that is refused.
    """

    def __init__(
        self,
        connection: HttpProtocol,
        limits: HttpLimits,
        take: Callable[[Exchange], None],
        whole: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._take = take
        self._whole = whole
        self._parser = httptools.HttpRequestParser(self)
        self.stopped = False
        #: Whose body is being read.
        self.incoming: Exchange | None = None
        #: What has come of the head that is being read.
        self.head_bytes = 0
        #: Nothing has come of the next request.
        self.between = True
        self._in_head = True
        self._quiet_bytes = 0  # since the last piece of the body: chunk sizes and trailers
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._own: list[tuple[bytes, bytes]] = []
        self._host = b""  # the last one that was found to be valid

    def feed(self, data: bytes | memoryview) -> Refusal | None:
        """Parse a piece; returns how to refuse what is wrong with it.

        Raises `httptools.HttpParserCallbackError` for a mistake of ours.
        """
        self.between = False
        if self._in_head:
            self.head_bytes += len(data)
        else:
            self._quiet_bytes += len(data)
        refusal = self._parse(data)
        if refusal is not None:
            return refusal
        if (self.head_bytes if self._in_head else self._quiet_bytes) > self._limits.head_bytes:
            return 431, "Request Header Fields Too Large"
        return None

    def _parse(self, data: bytes | memoryview) -> Refusal | None:
        while data and not self.stopped:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # We never switch protocols: what follows is the next request.
                data = data[upgrade.args[0] :]
                continue
            except httptools.HttpParserCallbackError:
                raise
            except httptools.HttpParserInvalidMethodError:
                return 501, "Not Implemented"
            except httptools.HttpParserError as error:
                return 400, f"Bad Request: {error}"
            break
        return None

    # -- httptools -------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # trailers carry nothing that is used
        header = name.lower(), value
        self._headers.append(header)
        if header[0] in _OWN:
            self._own.append(header)

    def on_headers_complete(self) -> None:
        self._in_head = False
        parser = self._parser
        method = parser.get_method()
        self.incoming = exchange = Exchange(
            self._connection,
            _METHODS.get(method) or method.decode("ascii"),
            self._target.decode("latin-1"),
            self._headers,
        )
        if not parser.should_keep_alive():
            exchange.keep_alive = False
        refusal = self._read_own(exchange)
        self._target, self._headers, self._own = b"", [], []
        if refusal is not None:
            exchange.refusal = refusal
            self.stopped = True
        self._take(exchange)

    def _read_own(self, exchange: Exchange) -> Refusal | None:
        """Read the headers that matter here; returns why the request is refused."""
        limits = self._limits
        if len(self._target) > limits.target_bytes:
            return 414, "URI Too Long"
        if len(self._headers) > limits.head_lines or (
            self.head_bytes > limits.head_bytes
            and sum(len(n) + len(v) for n, v in self._headers) > limits.head_bytes
        ):
            return 431, "Request Header Fields Too Large"
        hosts = 0
        for name, value in self._own:
            if name == b"host":
                hosts += 1
                if value != self._host and _HOST.fullmatch(value) is None:
                    return 400, "Bad Request: invalid Host header"
                self._host = value
            elif name == b"content-type":
                exchange.content_type = value.lower()
            elif name == b"content-length":
                exchange.content_length = int(value)
                exchange.has_body = exchange.content_length > 0
            elif name == b"transfer-encoding":
                if value.strip().lower() != b"chunked":
                    return 501, "Not Implemented: Transfer-Encoding other than chunked"
                exchange.has_body = True
            elif value.strip().lower() == b"100-continue":
                exchange.expects_continue = True
            else:
                return 417, "Expectation Failed"
        return self._judge(exchange, hosts)

    def _judge(self, exchange: Exchange, hosts: int) -> Refusal | None:
        version = self._parser.get_http_version()
        if version == "1.0":
            exchange.http_1_0 = True
            if exchange.has_body and not exchange.content_length:
                return 400, "Bad Request: Transfer-Encoding in HTTP/1.0"
        elif version != "1.1":
            return 505, "HTTP Version Not Supported"
        elif hosts == 0:
            return 400, "Bad Request: no Host header"
        if hosts > 1:
            return 400, "Bad Request: more than one Host header"
        if exchange.method == "CONNECT":
            return 405, "Method Not Allowed"
        if exchange.has_body and self._parser.should_upgrade():
            # The parser would take the body for the next request.
            return 501, "Not Implemented: Upgrade with a body"
        return None

    def on_body(self, body: bytes) -> None:
        self._quiet_bytes = 0
        if self.incoming is not None:
            self.incoming.feed(body)

    def on_message_complete(self) -> None:
        self.between = self._in_head = True
        self.head_bytes = self._quiet_bytes = 0
        if self.incoming is not None:
            self.incoming.complete = True
            self.incoming = None
            self._whole()
