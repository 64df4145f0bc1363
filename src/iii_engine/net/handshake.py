"""Connections whose upgrade somebody has to allow first.

picows answers an upgrade at once, and who decides may be a worker. So a connection begins here:
the request is read as far as its head goes, and picows gets connection and request when there is
a decision, to check the request and to answer it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

import httptools
import picows
from msgspec import Raw, Struct

from iii_engine.net.reading import Reading

log = logging.getLogger("iii.net")

#: Of a request's head, in bytes; picows reads no more either.
MAX_HEAD: Final = 16 * 1024
HEAD_SECONDS: Final = 10.0

_END: Final = b"\r\n\r\n"


class Head(Struct):
    """Who asks: header names in lower case, query values as lists, the address with its port."""

    headers: dict[str, str]
    path: str
    query_params: dict[str, list[str]]
    addr: str


class Doorman(Protocol):
    """Decides about upgrades, and makes the ends of the connections."""

    def ask(self, head: Head | None, decided: Callable[[Raw | None], None]) -> Callable[[], None]:
        """Decide about a request, None when it has no proper head.

        `decided` is called once, perhaps before this returns, with what is known of the client, or
        with None to refuse it. The result cancels the question.
        """
        ...

    def open_socket(
        self, request: picows.WSUpgradeRequest, known: Raw | None
    ) -> picows.WSListener | picows.WSUpgradeResponseWithListener | None:
        """Answer the request that was decided about."""
        ...

    def waits(self, arrival: Arrival, waiting: bool) -> None:
        """A connection began, or ended, to wait for its handshake."""
        ...


class Arrival(asyncio.BufferedProtocol):
    """A connection until the decision; from then on it belongs to picows."""

    def __init__(self, doorman: Doorman, max_frame: int) -> None:
        self._doorman = doorman
        self._max_frame = max_frame
        self._buffer = bytearray(MAX_HEAD)
        self._size = 0
        self._asked = False
        self._cancel: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio's do, and are no instances of their classes.
        self._transport: Any = transport
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.abort)
        self._doorman.waits(self, True)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._size :]

    def buffer_updated(self, nbytes: int) -> None:
        self._size += nbytes
        if self._asked:  # read on, to notice a client that goes, as far as there is room
            if self._size == MAX_HEAD:
                self._transport.pause_reading()
            return
        end = self._buffer.find(_END, 0, self._size)
        if end < 0 and self._size < MAX_HEAD:
            return
        self._asked = True
        self._timer.cancel()
        if self._size == MAX_HEAD:
            self._transport.pause_reading()
        peer = self._transport.get_extra_info("peername")
        head = None if end < 0 else read_head(bytes(self._buffer[: end + 4]), address(peer))
        self._cancel = self._doorman.ask(head, self._decided)

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        if self._cancel is not None:
            self._cancel()

    def abort(self) -> None:
        """The engine stops, or the request does not come."""
        self._transport.abort()

    def _leave(self) -> None:
        self._timer.cancel()
        self._doorman.waits(self, False)

    def _decided(self, known: Raw | None) -> None:
        """Give the connection to picows."""
        transport = self._transport
        if transport.is_closing():
            return
        self._leave()
        protocol = Reading(
            lambda request: self._doorman.open_socket(request, known), HEAD_SECONDS, self._max_frame
        )
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        feed(protocol, memoryview(self._buffer)[: self._size])
        if not transport.is_closing():
            transport.resume_reading()


def feed(protocol: asyncio.BufferedProtocol, data: memoryview) -> None:
    """Let a protocol read what was received for it."""
    while data:
        room = memoryview(protocol.get_buffer(-1))
        size = min(len(room), len(data))
        room[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


class _Reader:
    """Collects what httptools finds."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, str] = {}
        self.whole = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace")
        earlier = self.headers.get(key)
        self.headers[key] = text if earlier is None else f"{earlier}, {text}"

    def on_headers_complete(self) -> None:
        self.whole = True


def read_head(head: bytes, addr: str) -> Head | None:
    """The head of a request, None when it is not one."""
    reader = _Reader()
    try:
        httptools.HttpRequestParser(reader).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    if not reader.whole:
        return None
    path, _, query = reader.url.decode("latin-1").partition("?")
    return Head(reader.headers, path, parse_qs(query, keep_blank_values=True), addr)


def address(peer: tuple[Any, ...] | None) -> str:
    """`ip:port`, the ip of version 6 in brackets."""
    if not peer:
        return ""
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
