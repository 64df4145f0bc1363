"""A client of the bus that offers nothing itself: for programs, tests and command lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from iii_sdk.address import Address, engine_url
from iii_sdk.bus import Bus
from iii_sdk.connection import Connection, State
from iii_sdk.errors import Unavailable
from iii_sdk.masking import masked
from iii_sdk.metadata import worker_metadata
from iii_sdk.websocket import WebSocketEndpoint


@asynccontextmanager
async def connect(
    url: str | None = None, *, name: str | None = None, timeout: float | None = 10.0
) -> AsyncIterator[Bus]:
    """A connected `Bus`, closed at the end of the block.

    Raises `Unavailable` when there is no engine within `timeout` seconds; None waits for ever.
    """
    address = engine_url(url)
    metadata = worker_metadata(name)
    connection = Connection(WebSocketEndpoint(Address(address)), metadata)
    running = asyncio.create_task(connection.run())
    try:
        try:
            await asyncio.wait_for(_connected(connection), timeout)
        except TimeoutError:
            reason = f": {connection.auth_error}" if connection.auth_error else ""
            raise Unavailable(f"no engine at {masked(address)}{reason}") from None
        yield Bus(connection, metadata.name or "")
    finally:
        await connection.close()
        await running


async def _connected(connection: Connection) -> None:
    while connection.state is not State.CONNECTED:
        await connection.changed()
