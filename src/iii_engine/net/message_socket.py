"""What all WebSockets of the engine share: whole messages, pings, and closing from either side."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from iii_engine.net.assembly import (
    BINARY,
    CONTINUATION,
    TEXT,
    Assembler,
    Violation,
    close_reply,
)
from iii_engine.net.reading import Reading, picows_log
from iii_engine.net.unfinished import Unfinished

#: How long a peer may take to answer a Close frame, in seconds.
CLOSE_SECONDS: Final = 2.0

#: Unacknowledged for this long, in milliseconds, a connection is dead.
TCP_TIMEOUT_MS: Final = 60_000

OPCODES: Final = {
    WSMsgType.CONTINUATION: CONTINUATION,
    WSMsgType.TEXT: TEXT,
    WSMsgType.BINARY: BINARY,
}

_TEXT: Final = WSMsgType.TEXT


class MessageSocket(WSListener):
    """One connection. A subclass says what to do when it is opened, with a message, and at its end.

    The end comes once, with the first of: the peer's Close frame, ours, or the loss of the
    connection. After it nothing is received; what the peer still sends is thrown away until it
    answers our Close frame, since closing on unread data would destroy that frame.

    A peer that reads gets a pong for each ping. One that has left anything unread gets one for its
    latest ping, and nothing else, when it has read that.
    """

    #: With more than this in the transport, in bytes, a peer is not `writable`.
    pause_at: ClassVar[int] = 64 * 1024

    def __init__(self, max_message_bytes: int) -> None:
        self.transport: WSTransport | None = None
        self.ended = False
        self.closed_by_peer = False  # with a Close frame
        self.writable = True  # the peer reads what it is sent
        #: Takes nearly every message, behind `ascii_for`: one that came whole in a frame, and is
        #: ASCII text.
        self.on_ascii: Callable[..., None] = self.on_message
        self.ascii_for: object = TEXT
        self.quiet_sweeps = 0  # since the last frame from the peer; whoever sweeps counts
        self._assembler = Assembler(max_message_bytes)
        self._between = True  # open, and no fragmented message is under way
        self._counted = False  # fragments of a message, among the unfinished
        self._waiting = 0  # bytes of a frame that is not whole
        self._descriptor = -1
        self._pong: bytes | None = None  # for the latest ping, while the peer does not read

    # -- for subclasses --------------------------------------------------------------------------

    def on_open(self, transport: WSTransport) -> None:
        """The handshake is done."""

    def on_message(self, kind: int, payload: bytes) -> None:
        """A whole message, `TEXT` (valid UTF-8) or `BINARY`."""

    def on_end(self) -> None:
        """Nothing can be sent or received any more."""

    # -- picows ----------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        raw = transport.underlying_transport
        raw.set_write_buffer_limits(high=self.pause_at)
        sock = raw.get_extra_info("socket")
        harden(sock)
        self._descriptor = sock.fileno()
        _sockets[self._descriptor] = self
        self.on_open(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.quiet_sweeps = 0
        kind = frame.msg_type
        if kind is _TEXT and frame.fin and self._between:
            # Nearly every frame: a whole message of ASCII text.
            payload = frame.get_payload_as_bytes()
            if payload.isascii() and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
                self.on_ascii(self.ascii_for, payload)
                return
        if self.ended:
            if kind is WSMsgType.CLOSE:
                transport.disconnect()
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close(1002, "reserved bits are set")
        elif kind is WSMsgType.TEXT or kind is WSMsgType.BINARY or kind is WSMsgType.CONTINUATION:
            try:
                message = self._assembler.feed(
                    OPCODES[kind], frame.fin, frame.get_payload_as_bytes()
                )
            except Violation as violation:
                self.close(violation.code, violation.reason)
                return
            self._between = message is not None
            if self._counted or message is None:
                self._counted, self._waiting = message is None, 0
                unfinished.note(self, self._assembler.held)
            if message is not None:
                self.on_message(*message)
        elif kind is WSMsgType.PING:
            self._answer_ping(transport, frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            transport.send_close(WSCloseCode(close_reply(frame.get_payload_as_bytes())))
            transport.disconnect()
            self.closed_by_peer = True
            self._end()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if _sockets.get(self._descriptor) is self:
            del _sockets[self._descriptor]
        self._end()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        transport, pong = self.transport, self._pong
        if pong is None or transport is None:
            return
        self._pong = None
        if not self.ended and not transport.underlying_transport.is_closing():
            transport.underlying_transport.set_write_buffer_limits(high=self.pause_at)
            transport.send_pong(pong)

    def _answer_ping(self, transport: WSTransport, payload: bytes) -> None:
        raw = transport.underlying_transport
        if raw.is_closing():
            return
        if self.writable and raw.get_write_buffer_size() == 0:
            transport.send_pong(payload)
            return
        # Pongs would pile up beside what is not read, each many times its own size.
        first, self._pong = self._pong is None, payload
        if first:
            raw.set_write_buffer_limits(high=0)

    def on_refused(self) -> None:
        """The parser is about to close because of a frame; the one before is still to come."""
        transport = self.transport
        if transport is None or self.ended:
            return
        closing = transport.close_handshake
        if closing is not None and closing.recv is not None:
            # A second Close frame, or garbage, in one packet with the first, which decides.
            self.closed_by_peer = True
            code = closing.recv.code.value
            transport.send_close(WSCloseCode(close_reply(code.to_bytes(2, "big") if code else b"")))
        asyncio.get_running_loop().call_soon(self._end)

    def on_waiting(self, size: int) -> None:
        """So many bytes of a frame were read; 0 when it is whole, or there are next to none."""
        self._waiting = size
        unfinished.note(self, size + self._assembler.held)

    # -- closing ---------------------------------------------------------------------------------

    def close(self, code: int, reason: str = "") -> None:
        """Close with a code; what was written before still leaves, if the peer reads."""
        transport = self.transport
        if transport is None or self.ended:
            return
        transport.send_close(WSCloseCode(code), reason.encode()[:120])
        raw = transport.underlying_transport
        raw.resume_reading()  # the peer's answer may be behind data
        if raw.can_write_eof():
            with suppress(OSError):  # the peer is gone already
                raw.write_eof()
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, transport.disconnect)
        self._end()

    def cut(self) -> None:
        """End the connection at once; what was written and not read yet is lost."""
        if self.transport is not None:
            self.transport.disconnect(False)
        self._end()

    def send_away(self, code: int, reason: str) -> None:
        """Close, and let go at once of all that was received."""
        self.close(code, reason)
        if self.transport is not None:
            reading = self.transport.underlying_transport.get_protocol()
            if isinstance(reading, Reading):
                reading.abandon()

    def _end(self) -> None:
        if not self.ended:
            self.ended, self._between = True, False
            if self._counted:
                self._counted = False
                self._assembler.drop()
                unfinished.note(self, self._waiting)
            self.on_end()


unfinished: Final = Unfinished()  # of all connections of this process

_sockets: dict[int, MessageSocket] = {}  # by descriptor


class _Refusals(logging.Handler):
    """picows tells that its parser refuses a frame to nobody but its log.

    The logger of a connection is named after its descriptor, so we know whose frame it is.
    """

    def emit(self, record: logging.LogRecord) -> None:
        descriptor = record.name.rpartition(".")[2]
        if record.msg.startswith("WS parser") and descriptor.isdigit():
            peer = _sockets.get(int(descriptor))
            if peer is not None:
                peer.on_refused()


picows_log.addHandler(_Refusals())


def harden(sock: socket.socket | None) -> None:
    """The kernel notices a vanished host within a minute, and never waits to fill a packet."""
    if sock is None:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_TIMEOUT_MS)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
