"""A TCP port that speaks HTTP/1.1."""

from __future__ import annotations

import asyncio
from email.utils import formatdate

from iii_engine.net.http_exchange import Application
from iii_engine.net.http_limits import HttpLimits
from iii_engine.net.http_protocol import HttpProtocol
from iii_engine.net.port import Port

SWEEP_SECONDS = 1.0


class HttpListener:
    """Accepts connections for an application and ends them in order."""

    def __init__(self, app: Application, limits: HttpLimits | None = None) -> None:
        self.app = app
        self.limits = limits or HttpLimits()
        self.connections: set[HttpProtocol] = set()
        self.now = 0.0
        self.date_line = b""
        self._port = Port(lambda: HttpProtocol(self))
        self._empty: asyncio.Future[None] | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one when 0 was asked for. Raises `OSError`."""
        self._sweep(asyncio.get_running_loop())
        try:
            return await self._port.open(host, port)
        except OSError:
            self._cancel_sweeper()
            raise

    async def move(self, host: str, port: int) -> int:
        """Listen elsewhere; open connections end after what is under way. Returns the port.

        Raises `OSError`, and listens where it did, when that is not possible.
        """
        connections = list(self.connections)
        await self._port.move(host, port)
        for connection in connections:
            connection.stop()
        return self._port.number

    def refuse_new(self) -> None:
        """Accept no more connections; those that are open finish what they have begun."""
        self._port.close()
        for connection in list(self.connections):
            connection.stop()

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Let answers under way finish within the grace time, then refuse and cut the rest."""
        self.refuse_new()
        await self._emptied(grace_seconds)
        for connection in list(self.connections):
            connection.cut()
        await self._emptied(1.0)
        for connection in list(self.connections):
            connection.abort()
        await self._emptied(1.0)
        self._cancel_sweeper()

    async def _emptied(self, patience: float) -> None:
        if self.connections:
            self._empty = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._empty], timeout=patience)

    def forget(self, connection: HttpProtocol) -> None:
        """A connection has ended (called by itself)."""
        self.connections.discard(connection)
        if self._empty is not None and not self.connections and not self._empty.done():
            self._empty.set_result(None)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time()
        self.date_line = f"date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in list(self.connections):
            connection.check(self.now)
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep, loop)

    def _cancel_sweeper(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
