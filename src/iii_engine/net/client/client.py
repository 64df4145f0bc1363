"""Requests that the engine makes for itself, to URLs of its config file."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from iii_engine.net.client.dialer import Dialer
from iii_engine.net.client.incoming import Response
from iii_engine.net.client.pool import Pools
from iii_engine.net.client.security import CONFIGURED
from iii_engine.net.client.target import Target
from iii_engine.version import VERSION


class Client:
    """Posts bodies and keeps connections for the next ones; `close` closes those."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pools = Pools(Dialer(CONFIGURED, loop), loop)

    async def post(
        self, target: Target, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Response:
        """The response, whatever its status, within `timeout` seconds.

        Raises `UrlRefused`, `RequestFailed`, `ResponseFailed`. A request that a kept connection
        lost is sent again on a new one, so what is posted must bear coming twice.
        """
        lines = {
            "Host": target.origin.header,
            "User-Agent": f"iii-engine/{VERSION}",
            "Content-Length": str(len(body)),
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        request = f"POST {target.resource} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body
        return await self._pools.send(target.origin, request, timeout, repeatable=True)

    def close(self) -> None:
        self._pools.close()
