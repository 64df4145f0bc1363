"""One connection to an endpoint: one request, one response, and again."""

from __future__ import annotations

import asyncio
from typing import cast

from iii_engine.net.client.incoming import Incoming, RequestFailed, Response
from iii_sdk.errors import BusError


class Connection(asyncio.Protocol):
    """HTTP/1.1 over one socket."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._incoming: Incoming | None = None

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    @property
    def answered(self) -> bool:
        """Did the endpoint react to the last request at all?"""
        return self._incoming is not None and self._incoming.begun

    @property
    def reusable(self) -> bool:
        """May another request follow the last one?

        Not when part of the request is still to be sent: some endpoints answer before they read
        all of it.
        """
        transport, incoming = self._transport, self._incoming
        return (
            transport is not None
            and incoming is not None
            and incoming.keeps_alive
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        )

    async def exchange(self, request: bytes) -> Response:
        """Send a request and wait for the response. Raises `RequestFailed`, `ResponseFailed`.

        The connection is closed when this does not return.
        """
        self._incoming = Incoming()
        if self._transport is None or self._transport.is_closing():
            raise RequestFailed("the connection was closed")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        except BaseException:
            self.close()
            raise
        finally:
            self._waiting = None

    def close(self) -> None:
        """At once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        incoming, waiting = self._incoming, self._waiting
        if incoming is None or waiting is None or waiting.done():
            self.close()  # nobody asked for this
            return
        try:
            incoming.feed(data)
        except BusError as error:
            waiting.set_exception(error)
            self.close()
            return
        if incoming.complete:
            waiting.set_result(incoming.response())

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        incoming, waiting = self._incoming, self._waiting
        if incoming is None or waiting is None or waiting.done():
            return
        if error is None and incoming.ends_here():
            waiting.set_result(incoming.response())
        else:
            where = "within the response body" if incoming.in_body else "before the response"
            why = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
            waiting.set_exception(incoming.failure(f"the connection ended {where}{why}"))
