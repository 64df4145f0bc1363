"""What the drivers over official clients share: one pool, a client per endpoint, their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import httpx2

from agentos.workers.llm_router.drivers import http
from agentos.workers.llm_router.endpoints import Endpoint
from agentos.workers.llm_router.failures import malformed, refused, unreachable
from iii_sdk.errors import BusError

#: Clients kept; keys change (session tokens every half hour), and each makes a client.
KEPT = 32

C = TypeVar("C")


class OfficialClients(Generic[C]):
    """`make` is the driver's client, `lost` what that raises when there was no answer."""

    def __init__(
        self, make: Callable[[Endpoint, httpx2.AsyncClient], C], lost: type[Exception]
    ) -> None:
        self.http = http.new_http_client()
        self._make = make
        self._lost = lost
        self._clients: dict[tuple[str, str], C] = {}

    def of(self, endpoint: Endpoint) -> C:
        """The client for an endpoint; those used last are kept."""
        name = (endpoint.base_url, endpoint.key)
        client = self._clients.pop(name, None) or self._make(endpoint, self.http)
        self._clients[name] = client
        if len(self._clients) > KEPT:
            # Only the pool holds connections, so a client is simply forgotten.
            del self._clients[next(iter(self._clients))]
        return client

    def failure(self, endpoint: Endpoint, error: Exception) -> BusError:
        """An error of the client or of the pool in our terms. The official error classes have
        the same members and no base in common."""
        response, message = getattr(error, "response", None), getattr(error, "message", None)
        if isinstance(response, httpx2.Response):
            retry_after = response.headers.get("retry-after")
            if response.status_code >= 300:
                return refused(endpoint, response.status_code, response.text, retry_after)
            # An error event inside a stream arrives with the status of the stream, 200.
            return refused(endpoint, 502, str(message), retry_after)
        if isinstance(error, self._lost):
            return unreachable(endpoint, error.__cause__ or error)
        if isinstance(error, http.BodyTooLarge):
            return malformed(endpoint, f"too much: {error}")
        if isinstance(error, httpx2.HTTPError | httpx2.StreamError):
            return unreachable(endpoint, error)
        return refused(endpoint, 502, str(message))

    async def aclose(self) -> None:
        """Close the pool."""
        await self.http.aclose()
