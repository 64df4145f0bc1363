"""A TCP port that is listened on, and that may move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Port:
    """Makes a protocol for each connection; what becomes of the connections is not its business."""

    def __init__(self, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        self._protocol = protocol
        self._server: asyncio.Server | None = None
        self.host = ""
        self.number = 0

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one when 0 was asked for. Raises `OSError`."""
        self._server = await asyncio.get_running_loop().create_server(
            self._protocol, host, port, backlog=2048
        )
        self.host, self.number = host, int(self._server.sockets[0].getsockname()[1])
        return self.number

    async def move(self, host: str, port: int) -> int:
        """Listen elsewhere. Raises `OSError`, and listens where it did, when that fails."""
        old, old_host = self._server, self.host
        if old is not None and port == self.number:
            # Two addresses with one port may overlap: the old one has to go first.
            old.close()
        try:
            await self.open(host, port)
        except OSError:
            if port == self.number:
                await self.open(old_host, port)
            raise
        if old is not None:
            old.close()
        return self.number

    def close(self) -> None:
        """Accept no more connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
