"""How a connection begins, and comes back: attempts, the pauses between them, signs of life."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from iii_sdk.backoff import Backoff
from iii_sdk.transport import Endpoint, Receiver, Transport

log = logging.getLogger("iii.sdk")

CONNECT_SECONDS: Final = 15
CLOSE_SECONDS: Final = 2
PING_SECONDS: Final = 20.0
#: A connection that was silent for this many pings is dead.
SILENT_PINGS: Final = 3
#: The pause between attempts while somebody waits who does not wait for long.
HURRY_SECONDS: Final = 1.0


class Connected(Receiver, Protocol):
    """What is connected again and again; it passes on what its socket tells of opening and end."""

    #: Why the engine refuses it, if it does.
    auth_error: str | None

    def connecting(self) -> None:
        """An attempt begins."""

    def disconnected(self) -> None:
        """There is no connection, and a pause begins."""


class Reconnection:
    """Connects, and connects again after every end, until `stop`."""

    def __init__(self, connected: Connected, endpoint: Endpoint, backoff: Backoff) -> None:
        self._connected = connected
        self._endpoint = endpoint
        self._backoff = backoff
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        # Ends what is under way: a connection, an attempt, or a pause.
        self._ended: asyncio.Future[None] | None = None
        self._opened_at: float | None = None
        self._pause: _Pause | None = None
        self._hurried_until = 0.0

    async def run(self) -> None:
        while not self._stopped:
            self._connected.connecting()
            try:
                await self._one_connection()
            except OSError as error:
                log.info("cannot connect to the engine: %s", error)
            if not self._stopped:
                self._backoff.ended(self._lasted())
                self._connected.disconnected()
                await self._rest(self._backoff.next())

    def stop(self) -> None:
        """No more attempts; a connection is its owner's to close."""
        self._stopped = True

    def opened(self) -> None:
        """There is a socket."""
        self._opened_at = self._loop.time()

    def ended(self) -> None:
        """There is none any more, or none is wanted."""
        if self._ended is not None:
            resolve(self._ended)

    def hurry(self, seconds: float) -> None:
        """For so long somebody waits for a connection: until then pauses are short."""
        self._hurried_until = max(self._hurried_until, self._loop.time() + seconds)
        if self._pause is not None:
            self._pause.shorten(HURRY_SECONDS)

    def _lasted(self) -> float:
        """Seconds of the last connection. One that the engine refused counts for nothing, else it
        would be asked again every second."""
        if self._opened_at is None or self._connected.auth_error is not None:
            return 0.0
        return self._loop.time() - self._opened_at

    async def _one_connection(self) -> None:
        self._opened_at = None
        self._ended = self._loop.create_future()
        transport = await self._connect(self._ended)
        watch = self._loop.create_task(_watch(transport))
        try:
            await self._ended
        finally:
            watch.cancel()
        await transport.wait_closed()

    async def _connect(self, ended: asyncio.Future[None]) -> Transport:
        """Connect, unless that takes too long or the end comes first."""
        connecting = asyncio.ensure_future(self._endpoint.connect(self._connected))
        try:
            await asyncio.wait(
                (connecting, ended), timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not connecting.done():
                raise ConnectionError(f"no connection within {CONNECT_SECONDS} seconds")
            return connecting.result()
        finally:
            connecting.cancel()

    async def _rest(self, seconds: float) -> None:
        """Sleep; `ended` ends it."""
        self._ended = self._loop.create_future()
        self._pause = _Pause(self._loop, self._ended, seconds)
        if self._loop.time() < self._hurried_until:
            self._pause.shorten(HURRY_SECONDS)
        try:
            await self._ended
        finally:
            self._pause.cancel()
            self._pause = None


class _Pause:
    """Ends a future some time after it began."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None], seconds: float
    ) -> None:
        self._loop = loop
        self._ended = ended
        self._began = loop.time()
        self._timer = loop.call_later(seconds, resolve, ended)

    def shorten(self, seconds: float) -> None:
        """It is to last no longer than this."""
        end = self._began + seconds
        if end < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(end, resolve, self._ended)

    def cancel(self) -> None:
        self._timer.cancel()


async def _watch(transport: Transport) -> None:
    """Drop a connection that gives no sign of life. Counted in pings, not in seconds: after the
    loop was blocked, what the engine sent meanwhile is still read before the next ping."""
    silent = 0
    while True:
        await asyncio.sleep(PING_SECONDS)
        silent = 0 if transport.heard else silent + 1
        if silent >= SILENT_PINGS:
            log.warning("the engine is silent; connecting again")
            transport.abort()
            return
        transport.ping()


async def wait_closed(transport: Transport) -> None:
    """Wait for the end of a socket; a peer that does not read gets no more than that."""
    try:
        await asyncio.wait_for(transport.wait_closed(), CLOSE_SECONDS)
    except TimeoutError:
        transport.abort()


def resolve(future: asyncio.Future[None]) -> None:
    """It has happened, perhaps not for the first time."""
    if not future.done():
        future.set_result(None)
