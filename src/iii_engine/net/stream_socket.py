"""Sockets of clients that watch streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Raw
from picows import WSTransport

from iii_engine.core.stream_messages import Wanted
from iii_engine.core.stream_subscriber import TRY_AGAIN, Subscriber
from iii_engine.net.flusher import write_messages
from iii_engine.net.message_socket import MessageSocket

if TYPE_CHECKING:
    from iii_engine.net.stream_listener import StreamListener

#: What clients say is short, in bytes.
MAX_MESSAGE: Final = 64 * 1024

#: The transport takes this much for a peer that does not read, in bytes; then messages wait.
PAUSE_AT: Final = 16 * 1024

#: How long a peer that did not keep up may take to read that it is closed.
TOLD_SECONDS: Final = 10.0

MISSED_PINGS: Final = 2


class StreamSocket(MessageSocket):
    """One client. `wanted` is what its address subscribes to."""

    pause_at = PAUSE_AT

    def __init__(self, listener: StreamListener, context: Raw, wanted: Wanted | None) -> None:
        super().__init__(MAX_MESSAGE)
        self._listener = listener
        self._subscriptions = listener.subscriptions
        self._wanted = wanted
        self._queued = False  # for the flusher
        self.subscriber = Subscriber(self._wake, self._drain, context=context)

    def on_open(self, transport: WSTransport) -> None:
        raw = transport.underlying_transport
        peer = raw.get_extra_info("peername")
        self.subscriber.name = f"the subscriber at {peer[0] if peer else 'an unknown address'}"
        self.subscriber.unsent_bytes = raw.get_write_buffer_size
        self.subscriber.read = self._read
        self._listener.sockets.add(self)
        if self._wanted is not None:
            self._subscriptions.join(self.subscriber, self._wanted)

    def on_message(self, kind: int, payload: bytes) -> None:
        self._subscriptions.receive(self.subscriber, payload)

    def on_end(self) -> None:
        listener = self._listener
        listener.sockets.discard(self)
        listener.backlog.forget(self.subscriber)
        self._subscriptions.disconnect(self.subscriber)
        self.subscriber.take()
        if not self.writable and self.transport is not None:
            # What it has not read stays in memory, for a while, so that it may find out.
            listener.loop.call_later(TOLD_SECONDS, self.transport.disconnect, False)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.subscriber.blocked = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self.subscriber.blocked = False
        self._listener.flusher.add(self)

    def _read(self, reading: bool) -> None:
        if self.transport is not None and not self.ended:
            raw = self.transport.underlying_transport
            (raw.resume_reading if reading else raw.pause_reading)()

    # -- writing ---------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._queued:
            self._queued = True
            self._listener.flusher.add(self)

    def flush(self) -> None:
        """Write what is queued, unless the peer does not read; close if that was asked for."""
        subscriber = self.subscriber
        self._queued = False
        if self.ended or self.transport is None:
            return
        self._drain()
        if subscriber.counted or not self.writable:  # else next to nothing is unread
            self._listener.backlog.note(subscriber)
        if subscriber.close_code:
            if subscriber.close_code == TRY_AGAIN:
                self._listener.note_slow(subscriber)
            self.close(subscriber.close_code, subscriber.close_reason)

    def _drain(self) -> None:
        transport, subscriber = self.transport, self.subscriber
        if self.writable and subscriber.outbox and transport is not None and not self.ended:
            write_messages(subscriber.take(), transport.underlying_transport)

    # -- keeping alive ---------------------------------------------------------------------------

    def sweep(self) -> None:
        """Called every `PING_SECONDS`: end what is dead, ping the rest."""
        transport = self.transport
        if transport is None or self.ended:
            return
        if self.quiet_sweeps >= MISSED_PINGS:
            self.close(1008, "no answer to pings")
            return
        self.quiet_sweeps += 1
        if self.writable:
            transport.send_ping()
