"""Bodies through channels: a request's bytes to its handler, a handler's bytes to the client."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.channel import BROKEN, Channel
from iii_engine.core.nesting import read_within
from iii_engine.modules.http.result import header_lines
from iii_engine.net.http_exchange import Exchange

log = logging.getLogger("iii.http")

#: Published readers take at most 1 MiB per frame; all writers keep to this.
PIECE = 64 * 1024

_EVENT_STREAM = (
    ("cache-control", b"cache-control: no-cache\r\n"),
    ("x-accel-buffering", b"x-accel-buffering: no\r\n"),
)


class BodyFeed:
    """Writes a request body to the channel that the handler reads."""

    def __init__(self, exchange: Exchange, channel: Channel) -> None:
        self._exchange = exchange
        self._channel = channel
        channel.attach_writer(self)

    def on_body(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            self._channel.write(False, data[start : start + PIECE])

    def on_body_end(self) -> None:
        self._channel.finish()

    def pause(self) -> None:
        self._exchange.pause_body()

    def resume(self) -> None:
        self._exchange.resume_body()

    def end(self, code: int) -> None:
        """The handler does not read on: the rest of the body is read and dropped."""
        self._exchange.resume_body()


class Control(Struct):
    """A text frame on the response channel."""

    type: str
    status_code: int | None = None
    headers: Raw = Raw(b"")


_decode_control: Final = msgspec.json.Decoder(Control).decode


class ResponseStream:
    """Reads the response channel: control frames first, then bytes, then the end.

    `on_begin()` is called before the first byte leaves, `on_end()` when the answer is complete or
    broken off, `on_lost()` when the handler's end broke before the first byte.
    """

    def __init__(
        self,
        exchange: Exchange,
        channel: Channel,
        common_head: Callable[[frozenset[str]], bytes],
        on_begin: Callable[[], None],
        on_end: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self.channel = channel
        self._common_head = common_head
        self._on_begin = on_begin
        self._on_end = on_end
        self._on_lost = on_lost
        self._status = 200
        self._head = b""
        self._names: frozenset[str] = frozenset()
        self.begun = False  # bytes are on their way
        self.touched = False  # the handler sent something
        self.ended = False  # the handler closed
        self.failed = False  # the handler failed after the first byte, or its end broke
        channel.attach_reader(self)

    # -- from the channel ------------------------------------------------------------------------

    def deliver(self, text: bool, data: bytes) -> None:
        if text:
            if not self.begun:
                self._control(data)
        else:
            self._begin()
            self._exchange.write(data)

    def end(self, code: int) -> None:
        self.ended = True
        if code == BROKEN:
            self.failed = True
        if self.begun:
            if self.failed:
                self._exchange.abort()
            else:
                self._exchange.end()
            self._on_end()
        elif self.failed:
            self._on_lost()
        elif self.touched:
            self.respond()

    def respond(self) -> None:
        """The handler closed without a byte: an answer of its status and headers alone."""
        self._exchange.respond(self._status, self._lines(), b"")
        self._on_end()

    # -- to the client ---------------------------------------------------------------------------

    def _begin(self) -> None:
        if self.begun:
            return
        self.begun = self.touched = True
        self._on_begin()
        self._exchange.on_writable = self._writable
        self._exchange.begin(self._status, self._lines())

    def _writable(self, can_write: bool) -> None:
        if can_write:
            self.channel.release()
        else:
            self.channel.hold()

    def _lines(self) -> bytes:
        head = self._head
        if b"content-type: text/event-stream" in head:
            for name, line in _EVENT_STREAM:
                if name not in self._names:
                    head += line
        return head + self._common_head(self._names)

    def _control(self, data: bytes) -> None:
        try:
            control = read_within(_decode_control, data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            log.info("unreadable control frame on a response channel ignored")
            return
        if control.type == "set_status":
            # 1xx are never the last word: a client would wait for another answer.
            if control.status_code is not None and 200 <= control.status_code <= 599:
                self.touched = True
                self._status = control.status_code
        elif control.type == "set_headers" and control.headers:
            self.touched = True
            head, names = header_lines(bytes(control.headers))
            kept = [
                line
                for line in self._head.splitlines(keepends=True)
                if line.partition(b":")[0].decode("latin-1") not in names
            ]
            self._head = b"".join((*kept, head))
            self._names |= names
