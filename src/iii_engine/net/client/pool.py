"""Connections that are kept: at most fifty per origin, each used by one request at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from iii_engine.net.client.connection import Connection
from iii_engine.net.client.dialer import Dialer
from iii_engine.net.client.incoming import RequestFailed, Response
from iii_engine.net.client.target import Origin

#: Open connections of one origin.
MAX_CONNECTIONS: Final = 50
#: Seconds that a connection stays open without use: less than servers usually wait.
IDLE_SECONDS: Final = 4.0


class Pool:
    """The connections of one origin. Requests beyond the limit wait for one to end."""

    def __init__(self, origin: Origin, dialer: Dialer, loop: asyncio.AbstractEventLoop) -> None:
        self._origin = origin
        self._dialer = dialer
        self._loop = loop
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: dict[Connection, asyncio.TimerHandle] = {}
        self.users = 0

    @property
    def unused(self) -> bool:
        return self.users == 0 and not self._idle

    async def send(self, request: bytes, timeout: float, *, repeatable: bool) -> Response:
        """Send a request. Raises `UrlRefused`, `RequestFailed`, `ResponseFailed`.

        A kept connection may be closed by the other side just when it is used; only what is
        `repeatable` is then sent again on a new one.
        """
        async with self._free:
            connection = self._kept()
            if connection is not None:
                try:
                    return await self._exchange(connection, request)
                except RequestFailed:
                    if connection.answered or not repeatable:
                        raise
            connection = await self._dialer.dial(self._origin, timeout)
            return await self._exchange(connection, request)

    async def _exchange(self, connection: Connection, request: bytes) -> Response:
        response = await connection.exchange(request)
        if connection.reusable:
            self._idle[connection] = self._loop.call_later(IDLE_SECONDS, self._drop, connection)
        else:
            connection.close()
        return response

    def _kept(self) -> Connection | None:
        """The connection that was used last, of those still open."""
        while self._idle:
            connection, timer = self._idle.popitem()
            timer.cancel()
            if not connection.closed:
                return connection
        return None

    def _drop(self, connection: Connection) -> None:
        self._idle.pop(connection, None)
        connection.close()

    def close(self) -> None:
        """Close what is not in use."""
        while (connection := self._kept()) is not None:
            connection.close()


class Pools:
    """The pool of every origin that was used of late."""

    def __init__(self, dialer: Dialer, loop: asyncio.AbstractEventLoop) -> None:
        self._dialer = dialer
        self._loop = loop
        self._pools: dict[Origin, Pool] = {}

    async def send(
        self, origin: Origin, request: bytes, timeout: float, *, repeatable: bool
    ) -> Response:
        """Send a request within `timeout` seconds in all. Raises what `Pool.send` does."""
        pool = self._pools.get(origin)
        if pool is None:
            self._forget_unused()
            pool = self._pools[origin] = Pool(origin, self._dialer, self._loop)
        pool.users += 1
        try:
            async with asyncio.timeout(timeout):
                return await pool.send(request, timeout, repeatable=repeatable)
        except TimeoutError:
            raise RequestFailed(f"no answer within {round(timeout * 1000)} ms") from None
        finally:
            pool.users -= 1

    def _forget_unused(self) -> None:
        for origin in [o for o, pool in self._pools.items() if pool.unused]:
            del self._pools[origin]

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
