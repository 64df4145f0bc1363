"""From an origin to a connection: names are looked up once, judged, and what was judged is used."""

from __future__ import annotations

import asyncio
import socket
import ssl

from iii_engine.net.client.connection import Connection
from iii_engine.net.client.incoming import RequestFailed
from iii_engine.net.client.security import Security
from iii_engine.net.client.target import Origin, UrlRefused, check_addresses


class Dialer:
    """Opens connections. `tls` is the context of `https` connections."""

    def __init__(
        self,
        security: Security,
        loop: asyncio.AbstractEventLoop,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._security = security
        self._loop = loop
        self._tls = tls

    async def addresses(self, origin: Origin) -> list[str]:
        """Every address of the host, all of them allowed. Raises `UrlRefused`."""
        try:
            found = await self._loop.getaddrinfo(
                origin.host, origin.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
        except (OSError, UnicodeError):
            raise UrlRefused("DNS lookup failed") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses:
            raise UrlRefused("DNS lookup failed")
        check_addresses(addresses, self._security)
        return addresses

    async def dial(self, origin: Origin, timeout: float) -> Connection:
        """Connect to the first address that answers, within `timeout` seconds in all.

        Raises `UrlRefused`, `RequestFailed`. The certificate is checked against the host's name.
        """
        end = self._loop.time() + timeout
        addresses = await self.addresses(origin)
        reason = "no address"
        for position, address in enumerate(addresses):
            share = (end - self._loop.time()) / (len(addresses) - position)
            try:
                async with asyncio.timeout(share):
                    return await self._connect(origin, address)
            except TimeoutError:
                reason = "it does not answer"
            except ssl.SSLError as error:
                reason = f"TLS: {error.reason or type(error).__name__}"
                if isinstance(error, ssl.SSLCertVerificationError):
                    reason = f"TLS: {error.verify_message}"
            except OSError as error:
                reason = error.strerror or type(error).__name__
        raise RequestFailed(f"cannot connect to {origin.header}: {reason}")

    async def _connect(self, origin: Origin, address: str) -> Connection:
        if origin.scheme == "http":
            _, connection = await self._loop.create_connection(Connection, address, origin.port)
            return connection
        if self._tls is None:
            self._tls = ssl.create_default_context()
        _, connection = await self._loop.create_connection(
            Connection, address, origin.port, ssl=self._tls, server_hostname=origin.host
        )
        return connection
