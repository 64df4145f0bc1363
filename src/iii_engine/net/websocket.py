"""The worker listener: a thin shell between picows and the bus.

One `WorkerSocket` per connection turns frames into messages for the engine; the `Flusher` writes
everything that was queued for a peer in one loop tick with one system call.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import picows
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from iii_engine.core.engine import Engine
from iii_engine.core.sessions import LARGE_MESSAGE, MIB, Session
from iii_engine.net.assembly import (
    BINARY,
    CONTINUATION,
    MEDIUM,
    MEDIUM_HEADER,
    SHORT,
    SHORT_HEADERS,
    TEXT,
    Assembler,
    Violation,
    medium_header,
    text_frames,
)
from iii_engine.net.origins import origin_allowed

log = logging.getLogger("iii.net")

#: picows reports every connection at INFO; problems come at WARNING.
picows_log = logging.getLogger("iii.picows")
picows_log.setLevel(logging.WARNING)

SWEEP_SECONDS = 5
PING_SECONDS = 20
STALL_SECONDS = 30
TCP_TIMEOUT_MS = 60_000
JOIN_BELOW = 256 * 1024
PAUSE_AT = 4 * MIB

TELEMETRY = (b"OTLP", b"MTRC", b"LOGS")

_TEXT = WSMsgType.TEXT

_OPCODES = {
    WSMsgType.CONTINUATION: CONTINUATION,
    WSMsgType.TEXT: TEXT,
    WSMsgType.BINARY: BINARY,
}

#: Answers the upgrade of a channel socket.
ChannelFactory = Callable[
    [picows.WSUpgradeRequest], "WSListener | picows.WSUpgradeResponseWithListener"
]


@dataclass
class Limits:
    """Sizes in bytes, times in milliseconds."""

    handshake_timeout_ms: int = 10_000
    worker_silence_ms: int = 600_000
    max_frame: int = 16 * MIB
    max_message: int = LARGE_MESSAGE


class Flusher:
    """Writes the outboxes of all peers that got something in this loop tick."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._dirty: list[WorkerSocket] = []

    def add(self, peer: WorkerSocket) -> None:
        if not self._dirty:
            self._call_soon(self._flush)
        self._dirty.append(peer)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for peer in dirty:
            peer.flush()


class WorkerSocket(WSListener):
    """One worker connection."""

    def __init__(self, listener: WorkerListener, headers: dict[str, str]) -> None:
        self._listener = listener
        self._engine = listener.engine
        self._headers = headers
        self._assembler = Assembler(listener.limits.max_message)
        self._writable = True
        self._closing = False
        self.session: Session | None = None
        self.transport: WSTransport | None = None
        self.quiet_sweeps = 0  # sweeps without a frame from the peer
        self.stalled_sweeps = 0  # sweeps without progress in writing
        self._unsent_at_sweep = 0

    # -- picows ----------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        raw = transport.underlying_transport
        raw.set_write_buffer_limits(high=PAUSE_AT)
        harden(raw.get_extra_info("socket"))
        peer = raw.get_extra_info("peername")
        self.session = self._engine.connect(
            self._wake, ip=peer[0] if peer else "", headers=self._headers
        )
        self.session.unsent_bytes = self._unsent
        self.session.on_resume = raw.resume_reading
        self._listener.sockets.add(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.quiet_sweeps = 0
        kind = frame.msg_type
        if kind is _TEXT and frame.fin and self._assembler.idle:
            # Nearly every frame: a whole message of ASCII text, straight to the engine.
            payload = frame.get_payload_as_bytes()
            session = self.session
            if (
                session is not None
                and not (self._closing or frame.rsv1 or frame.rsv2 or frame.rsv3)
                and payload.isascii()
            ):
                self._engine.receive(session, payload)
                if session.paused:
                    transport.underlying_transport.pause_reading()
                return
        if kind is WSMsgType.CLOSE:
            self._on_close(transport, frame)
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.abort(1002, "reserved bits are set")
        elif kind is WSMsgType.TEXT or kind is WSMsgType.BINARY or kind is WSMsgType.CONTINUATION:
            try:
                message = self._assembler.feed(
                    _OPCODES[kind], frame.fin, frame.get_payload_as_bytes()
                )
            except Violation as violation:
                self.abort(violation.code, violation.reason)
                return
            if message is not None:
                self._on_message(message)
        elif kind is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._closing = True
        self._listener.sockets.discard(self)
        if self.session is not None:
            self._engine.disconnect(self.session)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self.stalled_sweeps = 0
        self.flush()

    # -- reading ---------------------------------------------------------------------------------

    def _on_message(self, message: tuple[int, bytes]) -> None:
        session = self.session
        if session is None or self._closing:
            return
        kind, payload = message
        if kind == BINARY and payload[:4] in TELEMETRY:
            self._listener.on_telemetry(payload)
            return
        self._engine.receive(session, payload)
        if session.paused and self.transport is not None:
            self.transport.underlying_transport.pause_reading()

    def _on_close(self, transport: WSTransport, frame: WSFrame) -> None:
        self._closing = True
        code = frame.get_close_code()
        if not transport.is_close_frame_sent:
            transport.send_close(code if code != WSCloseCode.NO_INFO else WSCloseCode.OK)
        transport.disconnect()

    # -- writing ---------------------------------------------------------------------------------

    def _wake(self, session: Session) -> None:
        self._listener.flusher.add(self)

    def _unsent(self) -> int:
        if self._writable or self.transport is None:
            return 0
        return self.transport.underlying_transport.get_write_buffer_size()

    def flush(self) -> None:
        """Write what is queued, unless the peer does not read."""
        session, transport = self.session, self.transport
        if session is None or transport is None or self._closing:
            return
        if self._writable and session.outbox:
            self._write(session.take(), transport.underlying_transport.write)
        if session.close_code:
            self.abort(session.close_code, session.close_reason)

    @staticmethod
    def _write(messages: list[bytes], write: Callable[[bytes], None]) -> None:
        """All small messages in one write; large ones are not copied once more."""
        joined: list[bytes] = []
        for message in messages:
            size = len(message)
            if size < SHORT:
                joined.append(SHORT_HEADERS[size])
                joined.append(message)
            elif size < MEDIUM:
                joined.append(medium_header(MEDIUM_HEADER, size))
                joined.append(message)
            elif size <= JOIN_BELOW:
                joined += text_frames(message)
            else:
                if joined:
                    write(b"".join(joined))
                    joined = []
                for part in text_frames(message):
                    write(part)
        if joined:
            write(b"".join(joined))

    def abort(self, code: int, reason: str) -> None:
        """Close with a code; what was written before still leaves."""
        transport = self.transport
        if transport is None or self._closing:
            return
        self._closing = True
        transport.send_close(WSCloseCode(code), reason.encode()[:120])
        transport.disconnect()

    # -- keeping alive ---------------------------------------------------------------------------

    def sweep(self, ping: bool) -> None:
        """Called every `SWEEP_SECONDS`: ping, and end what is dead."""
        transport = self.transport
        if transport is None or self._closing:
            return
        self.quiet_sweeps += 1
        if self.quiet_sweeps * SWEEP_SECONDS * 1000 >= self._listener.limits.worker_silence_ms:
            log.warning("worker %s was silent for too long", self.session and self.session.name)
            self.abort(1008, "silent for too long")
            return
        if not self._writable:
            unsent = transport.underlying_transport.get_write_buffer_size()
            self.stalled_sweeps = self.stalled_sweeps + 1 if unsent >= self._unsent_at_sweep else 0
            self._unsent_at_sweep = unsent
            if self.stalled_sweeps * SWEEP_SECONDS >= STALL_SECONDS:
                log.warning("worker %s does not read", self.session and self.session.name)
                self.abort(1013, "outbound queue overflowed")
                transport.disconnect(False)
        elif ping:
            transport.send_ping()


class TelemetrySocket(WSListener):
    """A socket that only carries telemetry; nothing is ever sent on it."""

    def __init__(self, listener: WorkerListener) -> None:
        self._listener = listener
        self._assembler = Assembler(listener.limits.max_message)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif (opcode := _OPCODES.get(kind)) is not None:
            try:
                message = self._assembler.feed(opcode, frame.fin, frame.get_payload_as_bytes())
            except Violation as violation:
                transport.send_close(WSCloseCode(violation.code), violation.reason.encode())
                transport.disconnect()
                return
            if message is not None and message[0] == BINARY:
                self._listener.on_telemetry(message[1])


class WorkerListener:
    """A TCP port that workers connect to: `/`, `/otel`, `/ws/channels/…` and `/health`."""

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        *,
        limits: Limits,
        allowed_origins: Sequence[str] | None = None,
        channels: ChannelFactory | None = None,
    ) -> None:
        self.engine = engine
        self.limits = limits
        self.sockets: set[WorkerSocket] = set()
        self.flusher = Flusher(loop)
        self._loop = loop
        self._allowed_origins = allowed_origins
        self._channels = channels
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweeps = 0

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one when 0 was asked for."""
        self._server = await picows.ws_create_server(
            self._route,
            host,
            port,
            websocket_handshake_timeout=self.limits.handshake_timeout_ms / 1000,
            logger_name=picows_log,
            enable_auto_pong=False,
            max_frame_size=self.limits.max_frame,
            read_buffer_init_size=4096,
            backlog=2048,
        )
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop listening; connected workers get 1012, so that every client comes back."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is None:
            return
        self._server.close()
        waiting = [s.transport for s in self.sockets if s.transport is not None]
        for peer in list(self.sockets):
            peer.flush()
            peer.abort(1012, "service restart")
        if waiting:
            await asyncio.wait(
                [asyncio.ensure_future(t.wait_disconnected()) for t in waiting], timeout=2
            )
        self._server = None

    def on_telemetry(self, frame: bytes) -> None:
        """Takes an OTLP frame; there is no observability module to keep it yet."""

    def _route(
        self, request: picows.WSUpgradeRequest
    ) -> WSListener | picows.WSUpgradeResponseWithListener | None:
        path = urllib.parse.urlsplit(request.path.decode("latin-1")).path
        if path == "/health":
            ok = picows.WSUpgradeResponse.create_ok_response(
                b'{"status":"ok"}', {"Content-Type": "application/json"}
            )
            return picows.WSUpgradeResponseWithListener(ok, None)
        origin = request.headers.get("Origin")
        if not origin_allowed(origin, self._allowed_origins):
            log.warning("refused a connection from the web page origin %r", origin)
            refused = picows.WSUpgradeResponse.create_error_response(403, b"Origin not allowed")
            return picows.WSUpgradeResponseWithListener(refused, None)
        if path == "/":
            return WorkerSocket(self, {k.lower(): v for k, v in request.headers.items()})
        if path == "/otel":
            return TelemetrySocket(self)
        if path.startswith("/ws/channels/") and self._channels is not None:
            return self._channels(request)
        return None

    def _sweep(self) -> None:
        self._sweeps += 1
        ping = self._sweeps % (PING_SECONDS // SWEEP_SECONDS) == 0
        for peer in list(self.sockets):
            peer.sweep(ping)
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)


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
