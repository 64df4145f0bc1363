"""One HTTP request and its answer, as the application sees them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from msgspec import Raw

if TYPE_CHECKING:
    from iii_engine.net.http_protocol import HttpProtocol

#: A body that nobody has asked for yet, or that its reader does not take, is read this far ahead.
READ_AHEAD = 64 * 1024

#: Head and body of an answer up to this size leave in one write.
JOIN_BELOW = 64 * 1024

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_WITHOUT_BODY = frozenset({204, 304})
_CLOSE = b"connection: close\r\n"
_KEEP_1_0 = b"connection: keep-alive\r\n"


def _unnamed(status: int) -> bytes:
    return b"HTTP/1.1 %d Unknown\r\n" % status


class BodyReader(Protocol):
    """Takes a request body piece by piece."""

    def on_body(self, data: bytes) -> None: ...

    def on_body_end(self) -> None: ...


class Application(Protocol):
    """What answers requests."""

    def on_request(self, exchange: Exchange) -> None:
        """The head of a request has arrived. Answer it with `respond` or `begin`, now or later."""
        ...


class _Body(Enum):
    WAITING = 0
    COLLECT = 1
    STREAM = 2
    DISCARD = 3


# Names of their own, because looking a member up costs more than all else that is done with it.
_WAITING, _COLLECT, _STREAM, _DISCARD = _Body


class Exchange:
    """A request (`method`, `target`, `headers`, body) and the way back.

    Header names are lower-case bytes. An answer is either one `respond`, or `begin`, `write`… and
    `end`. All methods may be called after the client has gone; they do nothing then.
    """

    expects_continue: bool = False
    # Defaults that hardly a request uses live on the class. What each one reads or sets has to be
    # in `__init__`: reading a default there costs ten times as much, and an attribute that is set
    # later, when many requests are under way, costs its request a dictionary.
    _mode: _Body = _WAITING
    _parts: list[bytes] | None = None
    _size: int = 0
    _limit: int = 0
    _collected: Callable[[bytes], None] | None = None
    _too_large: Callable[[], None] | None = None
    _reader: BodyReader | None = None
    _head: bytes | None = None  # of a streamed answer, until its first bytes
    _chunked: bool = False
    _bodiless: bool = False

    def __init__(
        self,
        protocol: HttpProtocol,
        method: str,
        target: str,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        self.connection = protocol
        self.method = method
        self.target = target
        self.headers = headers
        self.content_type = b""
        self.content_length = 0
        self.has_body = False
        self.http_1_0 = False
        self.keep_alive = True
        self.complete = False  # the whole request has arrived
        self.status = 0  # of the answer, once there is one
        self.begun = False  # a streamed answer is under way
        self.closed = False  # the answer is complete, or the client has gone
        #: Status and text with which the protocol itself answers.
        self.refusal: tuple[int, str] | None = None
        #: Called when the client goes before the answer is complete.
        self.on_close: Callable[[], None] | None = None
        #: Called with False when the client reads too slowly, with True when it has caught up.
        self.on_writable: Callable[[bool], None] | None = None
        #: Called with the size of the part that has arrived of a body that is read whole.
        self.on_growth: Callable[[int], None] | None = None

    @property
    def peer(self) -> str:
        """Address of the client."""
        return self.connection.peer

    # -- body of the request ---------------------------------------------------------------------

    def collect(
        self, limit: int, done: Callable[[bytes], None], too_large: Callable[[], None]
    ) -> None:
        """Call `done(body)` once the body is there, or `too_large()` when it exceeds `limit`."""
        self._mode = _COLLECT
        self._limit, self._collected, self._too_large = limit, done, too_large
        if self.content_length > limit:
            self._give_up()
            return
        self._ask_for_body()
        self.pump()

    def stream(self, reader: BodyReader) -> None:
        """Hand the body to `reader` as it comes; `pause_body` and `resume_body` control it."""
        self._mode = _STREAM
        self._reader = reader
        self._ask_for_body()
        self.pump()

    def pause_body(self) -> None:
        self.connection.pause_reading()

    def resume_body(self) -> None:
        if not self.closed:
            self.connection.resume_reading()

    def _ask_for_body(self) -> None:
        if self.expects_continue and not self.complete and not self._size and not self.closed:
            self.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.expects_continue = False
        self.connection.resume_reading()

    def feed(self, data: bytes) -> None:
        """A piece of the body arrived (called by the protocol, which calls `pump` afterwards)."""
        if self._mode is not _DISCARD:
            if self._parts is None:
                self._parts = []
            self._parts.append(data)
            self._size += len(data)

    def pump(self) -> None:
        """Pass on what has arrived."""
        mode = self._mode
        if mode is _COLLECT:
            if self._size > self._limit:
                self._give_up()
            elif self.complete and (done := self._collected) is not None:
                self._collected = self._too_large = None
                parts, self._parts = self._parts or (), None
                done(parts[0] if len(parts) == 1 else b"".join(parts))
            elif self.on_growth is not None:
                self.on_growth(self._size)
        elif mode is _STREAM:
            parts, self._parts = self._parts or (), None
            reader = self._reader
            if reader is None:
                return
            for part in parts:
                reader.on_body(part)
            if self.complete:
                self._reader = None
                reader.on_body_end()
        elif mode is _WAITING and self._size > READ_AHEAD:
            self.connection.pause_reading()

    def _give_up(self) -> None:
        too_large, self._too_large, self._collected = self._too_large, None, None
        self._discard()
        if too_large is not None:
            too_large()

    def _discard(self) -> None:
        self._mode = _DISCARD
        self._parts = self._reader = None

    # -- answer ----------------------------------------------------------------------------------

    def respond(self, status: int, head: bytes, body: bytes | Raw) -> None:
        """Send the whole answer. `head` is complete header lines without those of framing."""
        if self.closed or self.begun:
            return
        self.status = status
        protocol = self.connection
        size = len(body)
        length = b"content-length: %d\r\n" % size
        if status in _WITHOUT_BODY:
            length, body, size = b"", b"", 0
        elif self.method == "HEAD":
            body, size = b"", 0
        first = _STATUS_LINES.get(status) or _unnamed(status)
        rest = body if size <= JOIN_BELOW else b""
        date, close = protocol.listener.date_line, self._closing()
        protocol.write(b"".join((first, date, head, length, close, b"\r\n", rest)))
        if size > JOIN_BELOW:
            protocol.write(memoryview(body))
        self._finish()

    def begin(self, status: int, head: bytes) -> None:
        """Start an answer whose length is not known. Its head leaves with the first bytes."""
        if self.closed or self.begun:
            return
        self.begun = True
        self.status = status
        self._bodiless = status in _WITHOUT_BODY or self.method == "HEAD"
        framing = b""
        if self.http_1_0:
            self.keep_alive = False
        elif status not in _WITHOUT_BODY:
            self._chunked = not self._bodiless
            framing = b"transfer-encoding: chunked\r\n"
        first = _STATUS_LINES.get(status) or _unnamed(status)
        self._head = b"".join(
            (first, self.connection.listener.date_line, head, framing, self._closing(), b"\r\n")
        )

    def write(self, data: bytes) -> None:
        """Send a piece of a streamed answer at once."""
        if self.closed or not data:
            return
        head, self._head = self._head or b"", None
        if self._bodiless:
            data = b""
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if head or data:
            self.connection.write(head + data)

    def end(self) -> None:
        """The streamed answer is complete."""
        if self.closed:
            return
        head, self._head = self._head or b"", None
        tail = b"0\r\n\r\n" if self._chunked else b""
        if head or tail:
            self.connection.write(head + tail)
        self._finish()

    def abort(self) -> None:
        """Cut the connection, so that the client sees that the answer is not whole."""
        if not self.closed:
            self.connection.abort()

    def _closing(self) -> bytes:
        if not self.complete or self.connection.stopping:
            self.keep_alive = False
        if not self.keep_alive:
            return _CLOSE
        return _KEEP_1_0 if self.http_1_0 else b""

    def _finish(self) -> None:
        self.closed = True
        self.on_close = self.on_writable = self.on_growth = None
        if not self.complete:
            self._discard()
        self.connection.finished(self)

    def lost(self) -> None:
        """The client has gone (called by the protocol)."""
        if self.closed:
            return
        self.closed = True
        self._discard()
        on_close, self.on_close = self.on_close, None
        self.on_writable = self.on_growth = self._collected = self._too_large = None
        if on_close is not None:
            on_close()
