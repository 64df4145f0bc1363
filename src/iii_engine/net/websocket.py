"""The worker listener: a thin shell between picows and the bus.

One `WorkerSocket` per connection turns frames into messages for the engine and back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import aiofastnet
import picows
from picows import WSListener, WSTransport

from iii_engine.core.access import Access
from iii_engine.core.admission import Arrival, Gate
from iii_engine.core.backlog import COUNTED_FROM
from iii_engine.core.engine import Engine
from iii_engine.core.sessions import LARGE_MESSAGE, Session, Status
from iii_engine.core.sizes import MIB
from iii_engine.net.assembly import BINARY, is_utf8
from iii_engine.net.door import GuardedSocket, arrival
from iii_engine.net.flusher import Flusher, write_messages
from iii_engine.net.message_socket import CLOSE_SECONDS, MessageSocket
from iii_engine.net.origins import origin_allowed, origin_of
from iii_engine.net.port import Port
from iii_engine.net.reading import Reading
from iii_sdk.malformed import unreadable

log = logging.getLogger("iii.net")

SWEEP_SECONDS = 5
PING_SECONDS = 20
STALL_SECONDS = 30
#: How long connections to an address that is given up may go on with what they are doing.
DRAIN_SECONDS = 10.0
DRAIN_STEP_SECONDS = 0.02
PAUSE_AT = 4 * MIB

TELEMETRY = (b"OTLP", b"MTRC", b"LOGS")

#: Answers the upgrade of a channel socket.
ChannelFactory = Callable[
    [picows.WSUpgradeRequest], "WSListener | picows.WSUpgradeResponseWithListener"
]

#: Makes the end of a worker's connection, from the listener and who asked.
WorkerFactory = Callable[["WorkerListener", Arrival], MessageSocket]


@dataclass
class Limits:
    """Sizes in bytes, times in milliseconds."""

    handshake_timeout_ms: int = 10_000
    worker_silence_ms: int = 600_000
    max_frame: int = 16 * MIB
    max_message: int = LARGE_MESSAGE
    invocation_timeout_ms: int = 0


class WorkerSocket(GuardedSocket):
    """One worker connection."""

    pause_at = PAUSE_AT

    def __init__(self, listener: WorkerListener, who: Arrival) -> None:
        super().__init__(listener.limits.max_message, listener.gate, who)
        self._listener = listener
        self._engine = listener.engine
        self.session: Session | None = None
        self.stalled_sweeps = 0  # sweeps without progress in writing
        self._unsent_at_sweep = 0
        self._queued = False  # for the flusher, while the peer does not read

    def on_open(self, transport: WSTransport) -> None:
        self._listener.sockets.add(self)
        super().on_open(transport)

    def on_admitted(self, access: Access | None) -> None:
        assert self.transport is not None
        self.session = self._engine.connect(
            self._wake, ip=self.who.ip_address, access=access, headers=self.who.headers
        )
        self.session.unsent_bytes = self.transport.underlying_transport.get_write_buffer_size
        self.session.on_pause = self.transport.underlying_transport.pause_reading
        self.session.drain = partial(self._listener.flusher.write, self, self._write)
        self.session.on_resume = self.transport.underlying_transport.resume_reading
        self.session.blocked = not self.writable
        self.use_timeout()
        self.on_ascii, self.ascii_for = self._engine.receive, self.session

    def use_timeout(self) -> None:
        """Let the listener's `invocation_timeout_ms` apply to calls made from now on."""
        if self.session is not None:
            default = self._engine.invocation_timeout_ms
            self.session.timeout_ms = self._listener.limits.invocation_timeout_ms or default

    def on_end(self) -> None:
        super().on_end()
        self._listener.sockets.discard(self)
        if self.session is not None:
            self._engine.disconnect(self.session)
        if not self.writable and self.transport is not None:
            self.transport.disconnect(False)  # or what it did not read stays until it does

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.session is not None:
            self.session.blocked = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled_sweeps = 0
        if self.session is not None:
            self.session.blocked = False
        self._listener.flusher.add(self)

    # -- reading ---------------------------------------------------------------------------------

    def on_message(self, kind: int, payload: bytes) -> None:
        session = self.session
        if session is None:
            self.keep(kind, payload)
            return
        if kind == BINARY and payload[:4] in TELEMETRY:
            self._listener.on_telemetry(payload)
            return
        if kind == BINARY and not is_utf8(payload):
            # It would leave as text, and end the connections of those who get it.
            malformed = unreadable(payload, "the message is not valid UTF-8")
            self._engine.refuse(session, malformed, payload)
            return
        self._engine.receive(session, payload)

    # -- writing ---------------------------------------------------------------------------------

    def _wake(self, session: Session) -> None:
        if not self._queued:
            self._queued = session.blocked
            self._listener.flusher.add(self)

    @property
    def idle(self) -> bool:
        """Nothing is under way in either direction."""
        session = self.session
        return session is None or not (session.active or session.outstanding or session.outbox)

    def flush(self) -> None:
        """Write what is queued, unless the peer does not read."""
        session, transport = self.session, self.transport
        if session is None or transport is None or self.ended:
            return
        self._queued = False
        self._write()
        if session.counted or session.unsent_bytes() >= COUNTED_FROM:
            self._engine.backlog.note(session)
        if session.close_code:
            overflowed = session.status is Status.OVERFLOWED
            self.close(session.close_code, session.close_reason)
            if overflowed:
                transport.disconnect(False)

    def _write(self) -> None:
        session, transport = self.session, self.transport
        if session is None or transport is None or self.ended or not session.outbox:
            return
        if self.writable and not transport.is_close_frame_sent:
            write_messages(session.take(), transport.underlying_transport)

    # -- keeping alive ---------------------------------------------------------------------------

    def sweep(self, ping: bool) -> None:
        """Called every `SWEEP_SECONDS`: ping, and end what is dead."""
        transport = self.transport
        if transport is None or self.ended:
            return
        self.quiet_sweeps += 1
        if self.quiet_sweeps * SWEEP_SECONDS * 1000 >= self._listener.limits.worker_silence_ms:
            log.warning("worker %s was silent for too long", self.session and self.session.name)
            self.close(1008, "silent for too long")
            return
        if not self.writable:
            unsent = transport.underlying_transport.get_write_buffer_size()
            self.stalled_sweeps = self.stalled_sweeps + 1 if unsent >= self._unsent_at_sweep else 0
            self._unsent_at_sweep = unsent
            if self.stalled_sweeps * SWEEP_SECONDS >= STALL_SECONDS:
                log.warning("worker %s does not read", self.session and self.session.name)
                if self.session is not None:
                    self.session.overflow()
        elif ping:
            transport.send_ping()


class TelemetrySocket(GuardedSocket):
    """A socket that only carries telemetry; nothing is ever sent on it."""

    def __init__(self, listener: WorkerListener, who: Arrival) -> None:
        super().__init__(listener.limits.max_message, listener.gate, who)
        self._listener = listener
        self._admitted = False

    def on_admitted(self, access: Access | None) -> None:
        self._admitted = True

    def on_message(self, kind: int, payload: bytes) -> None:
        if not self._admitted:
            self.keep(kind, payload)
        elif kind == BINARY:
            self._listener.on_telemetry(payload)


#: Content type and body of what a plain `GET` gets.
Page: TypeAlias = Callable[[], tuple[str, bytes]]


class WorkerListener:
    """A TCP port that workers connect to: `/`, `/otel`, `/ws/channels/…` and `/health`.

    `pages` are further paths that answer everybody, on listeners that let everybody in.
    """

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        *,
        limits: Limits,
        allowed_origins: Sequence[str] | None = None,
        channels: ChannelFactory | None = None,
        worker: WorkerFactory | None = None,
        gate: Gate | None = None,
        pages: Mapping[str, Page] | None = None,
    ) -> None:
        self.engine = engine
        self.gate = gate
        #: Of connections that begin from now on.
        self.limits = limits
        self.allowed_origins = allowed_origins
        self.sockets: set[WorkerSocket] = set()
        self.flusher = Flusher(loop, engine.backlog)
        self._loop = loop
        self._channels = channels
        self._worker = worker or WorkerSocket
        self._pages = {} if pages is None else pages
        self._port = Port(self._accepted, aiofastnet.connect_accepted_socket)
        self.port = 0
        self._leaving: asyncio.Task[None] | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweeps = 0

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one when 0 was asked for."""
        self.port = await self._port.open(host, port)
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        return self.port

    def _accepted(self) -> Reading:
        limits = self.limits
        return Reading(self._route, limits.handshake_timeout_ms / 1000, limits.max_frame)

    async def move(self, host: str, port: int) -> int:
        """Listen elsewhere; open connections stay. Returns the port.

        Raises `OSError`, and listens where it did, when that is not possible.
        """
        self.port = await self._port.move(host, port)
        return self.port

    def retire(self, leaving: set[WorkerSocket]) -> asyncio.Task[None]:
        """End these connections, each when it is idle. The task is done when all are gone."""
        if self._leaving is not None and not self._leaving.done():
            self._leaving.cancel()
        self._leaving = asyncio.create_task(self._drain(leaving, DRAIN_SECONDS))
        return self._leaving

    def refuse_new(self) -> None:
        """Accept nobody; the connections that are open stay."""
        self._port.close()

    async def drain(self, seconds: float) -> None:
        """Accept nobody, and end every connection when it is idle or the time is over."""
        self.refuse_new()
        await self._drain(set(self.sockets), seconds)

    async def _drain(self, leaving: set[WorkerSocket], seconds: float) -> None:
        end = self._loop.time() + seconds
        while leaving := leaving & self.sockets:
            over = self._loop.time() >= end
            self._send_away([peer for peer in leaving if over or peer.idle])
            await asyncio.sleep(DRAIN_STEP_SECONDS)

    async def close(self) -> None:
        """Stop listening; connected workers get 1012, so that every client comes back."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._leaving is not None:
            self._leaving.cancel()
        self.refuse_new()
        waiting = [s.transport for s in self.sockets if s.transport is not None]
        self._send_away(list(self.sockets))
        if waiting:
            await asyncio.wait(
                [asyncio.ensure_future(t.wait_disconnected()) for t in waiting],
                timeout=CLOSE_SECONDS,
            )

    def _send_away(self, leaving: list[WorkerSocket]) -> None:
        """Close with 1012. The end of one answers calls of others, so first all are told that."""
        sessions = {peer.session for peer in leaving if peer.session is not None}
        if sessions:
            self.engine.router.stop(sessions)
        for peer in leaving:
            peer.flush()
        for peer in leaving:
            peer.close(1012, "service restart")

    def on_telemetry(self, frame: bytes) -> None:
        """A worker sent a telemetry frame."""
        self.engine.on_telemetry(frame)

    def _route(
        self, request: picows.WSUpgradeRequest
    ) -> WSListener | picows.WSUpgradeResponseWithListener | None:
        path = request.path.decode("latin-1").partition("?")[0]
        if path == "/health":
            ok = picows.WSUpgradeResponse.create_ok_response(
                b'{"status":"ok"}', {"Content-Type": "application/json"}
            )
            return picows.WSUpgradeResponseWithListener(ok, None)
        origin = origin_of(request)
        if not origin_allowed(origin, self.allowed_origins):
            log.warning("refused a connection from the web page origin %r", origin)
            refused = picows.WSUpgradeResponse.create_error_response(403, b"Origin not allowed")
            return picows.WSUpgradeResponseWithListener(refused, None)
        if not request.headers.get("Sec-WebSocket-Version", "").isascii():
            # picows would quote it in its answer, and cannot encode it.
            refused = picows.WSUpgradeResponse.create_error_response(400, b"Unknown version")
            return picows.WSUpgradeResponseWithListener(refused, None)
        if path in self._pages and self.gate is None:
            content_type, body = self._pages[path]()
            page = picows.WSUpgradeResponse.create_ok_response(body, {"Content-Type": content_type})
            return picows.WSUpgradeResponseWithListener(page, None)
        if path == "/":
            return self._worker(self, arrival(request))
        if path == "/otel":
            return TelemetrySocket(self, arrival(request))
        if path.startswith("/ws/channels/") and self._channels is not None:
            return self._channels(request)
        return None

    def _sweep(self) -> None:
        self._sweeps += 1
        ping = self._sweeps % (PING_SECONDS // SWEEP_SECONDS) == 0
        for peer in list(self.sockets):
            peer.sweep(ping)
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
