"""The port that clients watch streams on: `/`, and `/stream/{stream}/{group}/[{id}]`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal
from urllib.parse import unquote

import picows
from msgspec import Raw

from iii_engine.core.backlog import Backlog
from iii_engine.core.engine import Engine
from iii_engine.core.sizes import MIB
from iii_engine.core.stream_messages import Wanted
from iii_engine.core.stream_subscriber import Subscriber
from iii_engine.core.stream_subscriptions import Subscriptions
from iii_engine.core.timers import Timer
from iii_engine.net.flusher import Flusher
from iii_engine.net.handshake import Arrival, Head
from iii_engine.net.message_socket import CLOSE_SECONDS
from iii_engine.net.origins import origin_allowed, origin_of
from iii_engine.net.port import Port
from iii_engine.net.stream_socket import MAX_MESSAGE, StreamSocket
from iii_sdk.protocol import NULL

log = logging.getLogger("iii.net")

PING_SECONDS: Final = 30.0

RESTART: Final = 1012

#: All clients together may leave this much unread, in bytes; then those with most are closed.
BACKLOG_BYTES: Final = 256 * MIB

#: Asks who wants to connect; see `Doorman.ask`.
Ask = Callable[[Head, Callable[[Raw | None], None]], Callable[[], None]]

_AUTO: Final = "/stream/"


class StreamListener:
    """Accepts clients for the subscriptions of one engine. With `ask` not everybody may enter."""

    def __init__(
        self, engine: Engine, subscriptions: Subscriptions, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.subscriptions = subscriptions
        self.loop = loop
        #: Of its own: what all subscribers share counts for each, which is no debt to workers.
        self.backlog = Backlog(BACKLOG_BYTES)
        self.flusher = Flusher(loop, self.backlog)
        self.sockets: set[StreamSocket] = set()
        self.allowed_origins: Sequence[str] | None = None
        self.ask_first: Ask | None = None
        #: Clients that were closed because they did not keep up.
        self.slow = 0
        self._engine = engine
        self.arrivals: set[Arrival] = set()
        self._port = Port(lambda: Arrival(self, MAX_MESSAGE))
        self._sweeper: Timer | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one when 0 was asked for. Raises `OSError`."""
        bound = await self._port.open(host, port)
        self._await_sweep()
        return bound

    async def move(self, host: str, port: int) -> int:
        """Listen elsewhere. Raises `OSError`, and listens where it did, when that fails."""
        return await self._port.move(host, port)

    def refuse_new(self) -> None:
        """Accept no more clients; those that are here stay."""
        self._port.close()
        for arrival in list(self.arrivals):
            arrival.abort()

    def send_away(self, sockets: Iterable[StreamSocket]) -> None:
        """Close with 1012, after what is queued, so that clients come back."""
        for peer in list(sockets):
            peer.flush()
            peer.close(RESTART, "service restart")

    async def close(self) -> None:
        """Stop listening, and let everybody know."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.refuse_new()
        waiting = [s.transport for s in self.sockets if s.transport is not None]
        self.send_away(self.sockets)
        if waiting:
            await asyncio.wait(
                [asyncio.ensure_future(t.wait_disconnected()) for t in waiting],
                timeout=CLOSE_SECONDS,
            )

    def note_slow(self, subscriber: Subscriber) -> None:
        """Somebody is closed because it does not keep up."""
        self.slow += 1
        if self.slow & (self.slow - 1) == 0:  # at 1, 2, 4, 8…
            log.warning("%s does not keep up and is closed (%d so far)", subscriber.name, self.slow)

    # -- arrivals --------------------------------------------------------------------------------

    def waits(self, arrival: Arrival, waiting: bool) -> None:
        (self.arrivals.add if waiting else self.arrivals.discard)(arrival)

    def ask(self, head: Head | None, decided: Callable[[Raw | None], None]) -> Callable[[], None]:
        if self.ask_first is None or head is None:
            decided(NULL if self.ask_first is None else None)
            return _nothing
        return self.ask_first(head, decided)

    def open_socket(
        self, request: picows.WSUpgradeRequest, known: Raw | None
    ) -> picows.WSListener | picows.WSUpgradeResponseWithListener | None:
        path = request.path.decode("latin-1").partition("?")[0]
        origin = origin_of(request)
        if not origin_allowed(origin, self.allowed_origins):
            log.warning("refused a connection from the web page origin %r", origin)
            return _refusal(403, b"Origin not allowed")
        if known is None:
            return _refusal(401, b'{"error":"unauthorized"}')
        if path == "/":
            return StreamSocket(self, known, None)
        wanted = wanted_by(path, self._engine.ids.uuid())
        return None if wanted is None else StreamSocket(self, known, wanted)

    # -- keeping alive ---------------------------------------------------------------------------

    def sweep(self) -> None:
        """Ping everybody, and end who missed two pings."""
        for peer in list(self.sockets):
            peer.sweep()

    def _await_sweep(self) -> None:
        def due() -> None:
            self._await_sweep()
            self.sweep()

        self._sweeper = self._engine.timers.after(PING_SECONDS, due)


def wanted_by(path: str, subscription_id: str) -> Wanted | None:
    """What a path subscribes to, None when it is no such path."""
    if not path.startswith(_AUTO):
        return None
    stream, *rest = (unquote(part) for part in path.removeprefix(_AUTO).split("/"))
    if not stream or not 1 <= len(rest) <= 2 or not rest[0]:
        return None
    item = rest[1] if len(rest) == 2 and rest[1] else None
    return Wanted(subscription_id, stream, rest[0], item)


def _refusal(status: Literal[401, 403], text: bytes) -> picows.WSUpgradeResponseWithListener:
    response = picows.WSUpgradeResponse.create_error_response(status, text)
    return picows.WSUpgradeResponseWithListener(response, None)


def _nothing() -> None:
    pass
