"""One HTTP/1.1 connection: parsing, order of answers, limits, deadlines.

httptools finds the frames; what a framing attack could hide in (both lengths, other codings,
folded headers, missing or double `Host`) is refused here or there, and the connection closed.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from iii_engine.net.http_exchange import Exchange

if TYPE_CHECKING:
    from iii_engine.net.http_listener import HttpListener

log = logging.getLogger("iii.http")

#: Headers that the protocol itself reads.
_OWN = frozenset({b"host", b"expect", b"transfer-encoding", b"content-length", b"content-type"})

#: A name or address with an optional port; empty where the target has no authority (RFC 9110).
_HOST = re.compile(
    rb"(?:\[[0-9A-Za-z:.%~_-]+\]|[0-9A-Za-z._~!$&'()*+,;=%\x80-\xff-]*)(?::[0-9]*)?[ \t]*"
)

#: So many requests that a client sent ahead of their answers are read; what it sent after them
#: waits as it is, and the connection is not read.
MAX_AHEAD = 128

#: Parsed at once, in bytes: heads (some more requests than `MAX_AHEAD` may come of it), a body.
HEAD_PIECE = 4 * 1024
BODY_PIECE = 64 * 1024


class HttpProtocol(asyncio.Protocol):
    """One connection. Requests are answered one after another, in order."""

    def __init__(self, listener: HttpListener) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self.peer = ""
        self.stopping = False  # the answer under way is the last one
        #: Free for the application: what it remembers between requests of one client.
        self.memory: object | None = None
        self._queue: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._incoming: Exchange | None = None  # its body is being read
        self._rest = b""  # not parsed yet; only while a request waits in the queue
        self._starting = False
        self._refused = False  # nothing that still arrives is read
        self._in_head = True
        self._head_bytes = 0
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._own: list[tuple[bytes, bytes]] = []
        self._reading = True
        self._writable = True
        self._deadline = 0.0  # 0: none
        self._why = ""
        self._write_deadline = 0.0
        self._unsent = 0
        self._quiet_bytes = 0  # read since the last piece of the body: chunk sizes and trailers

    # -- asyncio ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance check: the transports of uvloop do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self._listener.connections.add(self)
        self._expect_within(self._limits.head_seconds, "head")

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.forget(self)
        self._transport = None
        self._refused = True
        waiting = [self._current, *self._queue] if self._current else [*self._queue]
        self._queue.clear()
        self._rest = b""
        self._current = self._incoming = None
        for exchange in waiting:
            exchange.lost()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head and self._head_bytes == 0 and self._current is None:
            self._expect_within(self._limits.head_seconds, "head")
        if len(data) <= HEAD_PIECE and not self._rest:
            self._feed(data)
        else:
            self._read(data)
        current = self._current
        if current is None:
            self._start()
        elif not current.closed:
            current.pump()
        if self._incoming is not None and self._reading and not self._refused:
            self._expect_within(self._limits.body_seconds, "body")
        if self._queue:
            self.pause_reading()

    def _read(self, data: bytes) -> None:
        """Parse what is not put aside. As long as something is, a request waits in the queue."""
        view = memoryview(self._rest + data)
        at = 0
        while at < len(view) and len(self._queue) < MAX_AHEAD and not self._refused:
            end = at + (BODY_PIECE if self._incoming is not None else HEAD_PIECE)
            self._feed(view[at:end])
            at = end
        self._rest = b"" if self._refused else bytes(view[at:])

    def _feed(self, data: bytes | memoryview) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._quiet_bytes += len(data)
        self._parse(data)
        if max(self._head_bytes * self._in_head, self._quiet_bytes) > self._limits.head_bytes:
            self._refuse(431, "Request Header Fields Too Large")

    def _parse(self, data: bytes | memoryview) -> None:
        while not self._refused:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # We never switch protocols: what follows is the next request.
                data = data[upgrade.args[0] :]
                if not data:
                    return
                continue
            except httptools.HttpParserCallbackError:
                log.exception("internal error while reading a request")
                self.abort()
            except httptools.HttpParserInvalidMethodError:
                self._refuse(501, "Not Implemented")
            except httptools.HttpParserError as error:
                self._refuse(400, f"Bad Request: {error}")
            return

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable = False
        self._write_deadline = self._listener.now + self._limits.stall_seconds
        self._unsent = self._transport.get_write_buffer_size() if self._transport else 0
        current = self._current
        if current is not None and current.on_writable is not None:
            current.on_writable(False)

    def resume_writing(self) -> None:
        self._writable = True
        self._write_deadline = 0.0
        current = self._current
        if current is not None:
            if current.on_writable is not None:
                current.on_writable(True)
        elif self._queue or not self._refused:
            self._next()

    # -- httptools -------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = []
        self._own = []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # trailers carry nothing that is used
        name = name.lower()
        self._headers.append((name, value))
        if name in _OWN:
            self._own.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        exchange = Exchange(
            self,
            self._parser.get_method().decode("ascii"),
            self._target.decode("latin-1"),
            self._headers,
        )
        exchange.keep_alive = self._parser.should_keep_alive()
        exchange.refusal = self._read_own(exchange)
        if exchange.refusal is not None:
            self._refused = True
        self._queue.append(exchange)
        self._incoming = exchange

    def _read_own(self, exchange: Exchange) -> tuple[int, str] | None:
        """Read the headers that matter here; returns why the request is refused."""
        limits = self._limits
        if len(self._target) > limits.target_bytes:
            return 414, "URI Too Long"
        if len(self._headers) > limits.head_lines or (
            self._head_bytes > limits.head_bytes
            and sum(len(n) + len(v) for n, v in self._headers) > limits.head_bytes
        ):
            return 431, "Request Header Fields Too Large"
        hosts = 0
        for name, value in self._own:
            if name == b"host":
                hosts += 1
                if _HOST.fullmatch(value) is None:
                    return 400, "Bad Request: invalid Host header"
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
        if self._incoming is not None:
            self._incoming.feed(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = self._quiet_bytes = 0
        if self._incoming is not None:
            self._incoming.complete = True
            self._incoming = None
            self._deadline = 0.0

    # -- requests in order -----------------------------------------------------------------------

    def _start(self) -> None:
        """Hand on the requests that wait, as long as each is answered at once."""
        if self._starting:
            return
        self._starting = True
        turn = MAX_AHEAD
        try:
            while self._current is None and self._queue and self._writable:
                if turn == 0:
                    asyncio.get_running_loop().call_soon(self._start)  # others are waiting
                    break
                turn -= 1
                exchange = self._current = self._queue.popleft()
                if self._rest and not self._queue:
                    self._read(b"")
                    if exchange.closed:
                        continue  # what followed broke its body
                self.resume_reading()
                if exchange.refusal is not None:
                    self._answer_refusal(exchange, *exchange.refusal)
                else:
                    self._listener.app.on_request(exchange)
        except Exception:
            log.exception("internal error while answering a request")
            self.abort()
        finally:
            self._starting = False

    def finished(self, exchange: Exchange) -> None:
        """The answer of the current exchange is complete."""
        self._current = None
        if not exchange.keep_alive:
            unread = not exchange.complete or not self._reading or exchange.refusal is not None
            self._close(linger=unread)
        elif self._queue:
            self._start()
        else:
            self._next()

    def _next(self) -> None:
        """Wait for the next request, or start the one that waits already."""
        if self._queue:
            self._start()
        elif self._refused or self.stopping:
            self._close(linger=False)
        else:
            if self._head_bytes:
                self._expect_within(self._limits.head_seconds, "head")
            else:
                self._expect_within(self._limits.idle_seconds, "idle")
            self.resume_reading()

    # -- refusing and closing --------------------------------------------------------------------

    def _refuse(self, status: int, text: str) -> None:
        """Answer what arrived before in order, then this, then close."""
        if self._refused:
            return
        self._refused = True
        broken, self._incoming = self._incoming, None
        if broken is not None and broken is self._current:
            if broken.closed:
                return
            if broken.begun:
                self.abort()
            else:
                self._answer_refusal(broken, status, text)
            return
        if broken is not None and broken in self._queue:
            broken.refusal = (status, text)
        else:
            exchange = Exchange(self, "GET", "", [])
            exchange.refusal = (status, text)
            self._queue.append(exchange)
        if self._current is None:
            self._start()

    def _answer_refusal(self, exchange: Exchange, status: int, text: str) -> None:
        exchange.keep_alive = False
        on_close, exchange.on_close = exchange.on_close, None
        if on_close is not None:
            on_close()
        exchange.respond(status, b"content-type: text/plain\r\n", text.encode("utf-8", "replace"))

    def _close(self, *, linger: bool) -> None:
        """Close after what was written. With `linger` the client may finish sending first, because
        closing on unread data would throw the answer away."""
        self._refused = True
        self._queue.clear()
        self._rest = b""
        transport = self._transport
        if transport is None:
            return
        if linger and transport.can_write_eof() and not transport.is_closing():
            self.resume_reading()
            transport.write_eof()
            self._expect_within(self._limits.linger_seconds, "linger")
        else:
            transport.close()

    def abort(self) -> None:
        self._refused = True
        if self._transport is not None:
            self._transport.abort()

    def stop(self) -> None:
        """Close now when idle, after the answer under way otherwise."""
        self.stopping = True
        if self._current is None and not self._queue:
            self._close(linger=False)

    # -- transport -------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()
            if self._why == "body":
                self._deadline = 0.0

    def resume_reading(self) -> None:
        if not self._reading and not self._queue and self._transport is not None:
            self._reading = True
            if self._incoming is not None:
                self._expect_within(self._limits.body_seconds, "body")
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def date_line(self) -> bytes:
        return self._listener.date_line

    # -- deadlines -------------------------------------------------------------------------------

    def _expect_within(self, seconds: float, why: str) -> None:
        self._deadline = self._listener.now + seconds
        self._why = why

    def check(self, now: float) -> None:
        """Called every second: end what has waited for too long."""
        if self._write_deadline and now >= self._write_deadline and self._transport is not None:
            unsent = self._transport.get_write_buffer_size()
            if unsent >= self._unsent:
                self.abort()
                return
            self._unsent = unsent
            self._write_deadline = now + self._limits.stall_seconds
        if not self._deadline or now < self._deadline:
            return
        why, self._deadline = self._why, 0.0
        if why == "body" or (why == "head" and self._head_bytes):
            self._refuse(408, "Request Timeout")
        elif self._transport is not None:
            self._transport.close()
