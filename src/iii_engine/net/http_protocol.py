"""One HTTP/1.1 connection: order of answers, flow control, deadlines, closing."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from iii_engine.net.http_exchange import Exchange
from iii_engine.net.http_parser import RequestParser

if TYPE_CHECKING:
    from iii_engine.net.http_listener import HttpListener

log = logging.getLogger("iii.http")

#: So many requests that a client sent ahead of their answers are read; what it sent after them
#: waits as it is, and the connection is not read.
MAX_AHEAD = 128

#: Parsed at once, in bytes: heads (some more requests than `MAX_AHEAD` may come of it), a body.
HEAD_PIECE = 4 * 1024
BODY_PIECE = 64 * 1024


class HttpProtocol(asyncio.Protocol):
    """One connection. Requests are answered one after another, in order."""

    def __init__(self, listener: HttpListener) -> None:
        self.listener = listener
        self._limits = listener.limits
        self._transport: asyncio.Transport | None = None
        self.peer = ""
        self.stopping = False  # the answer under way is the last one
        #: Free for the application: what it remembers between requests of one client.
        self.memory: object | None = None
        self._queue: deque[Exchange] = deque()
        self._parser = RequestParser(self, self._limits, self._queue.append, self._expect_nothing)
        self._current: Exchange | None = None
        self._rest = b""  # not parsed yet; only while a request waits in the queue
        self._starting = False
        self._reading = True
        self._writable = True
        self._deadline = 0.0  # 0: none
        self._why = ""
        self._write_deadline = 0.0
        self._unsent = 0

    # -- asyncio ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance check: the transports of uvloop do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self.listener.connections.add(self)
        self._expect_within(self._limits.head_seconds, "head")

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.forget(self)
        self._transport = None
        self._parser.stopped = True
        waiting = [self._current, *self._queue] if self._current else [*self._queue]
        self._queue.clear()
        self._rest = b""
        self._current = self._parser.incoming = None
        for exchange in waiting:
            exchange.lost()

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser.stopped:
            return
        if self._current is None and parser.between:
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
        if parser.incoming is not None and self._reading and not parser.stopped:
            self._expect_within(self._limits.body_seconds, "body")
        if self._queue:
            self.pause_reading()

    def _read(self, data: bytes) -> None:
        """Parse what is not put aside. As long as something is, a request waits in the queue."""
        view = memoryview(self._rest + data)
        at = 0
        while at < len(view) and len(self._queue) < MAX_AHEAD and not self._parser.stopped:
            end = at + (BODY_PIECE if self._parser.incoming is not None else HEAD_PIECE)
            self._feed(view[at:end])
            at = end
        self._rest = b"" if self._parser.stopped else bytes(view[at:])

    def _feed(self, data: bytes | memoryview) -> None:
        try:
            refusal = self._parser.feed(data)
        except httptools.HttpParserCallbackError:
            log.exception("internal error while reading a request")
            self.abort()
        else:
            if refusal is not None:
                self._refuse(*refusal)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable = False
        self._write_deadline = self.listener.now + self._limits.stall_seconds
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
        elif self._queue or not self._parser.stopped:
            self._next()

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
                if not self._reading:
                    self.resume_reading()
                if exchange.refusal is not None:
                    self._answer_refusal(exchange, *exchange.refusal)
                else:
                    self.listener.app.on_request(exchange)
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
        elif self._parser.stopped or self.stopping:
            self._close(linger=False)
        else:
            if self._parser.head_bytes:
                self._expect_within(self._limits.head_seconds, "head")
            else:
                self._expect_within(self._limits.idle_seconds, "idle")
            if not self._reading:
                self.resume_reading()

    # -- refusing and closing --------------------------------------------------------------------

    def _refuse(self, status: int, text: str) -> None:
        """Answer what arrived before in order, then this, then close."""
        parser = self._parser
        if parser.stopped:
            return
        parser.stopped = True
        broken, parser.incoming = parser.incoming, None
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
        self._parser.stopped = True
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
        self._parser.stopped = True
        if self._transport is not None:
            self._transport.abort()

    def cut(self) -> None:
        """Refuse the request that has no answer yet; break off an answer that has begun."""
        current = self._current
        if current is None or current.begun or current.closed:
            self.abort()
        else:
            self._parser.stopped = True
            self._answer_refusal(current, 503, "Service Unavailable")

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
            if self._parser.incoming is not None:
                self._expect_within(self._limits.body_seconds, "body")
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # -- deadlines -------------------------------------------------------------------------------

    def _expect_nothing(self) -> None:
        self._deadline = 0.0

    def _expect_within(self, seconds: float, why: str) -> None:
        self._deadline = self.listener.now + seconds
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
        if why == "body" or (why == "head" and self._parser.head_bytes):
            self._refuse(408, "Request Timeout")
        elif self._transport is not None:
            self._transport.close()
