"""What the drivers over official clients share: one pool, a client per endpoint, their errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import httpx2

from agentos.workers.llm_router.conversation import Reply
from agentos.workers.llm_router.drivers import http
from agentos.workers.llm_router.drivers.base import StreamItem
from agentos.workers.llm_router.endpoints import Endpoint
from agentos.workers.llm_router.failures import malformed, refused, unfinished, unreachable
from iii_sdk.errors import BusError

#: Clients kept; keys change (session tokens every half hour), and each makes a client.
KEPT = 32

C = TypeVar("C")


class EventSource(Protocol):
    """The stream of an official client: a context manager over decoded events."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[object]: ...


class Collector(Protocol):
    """Makes a reply of events."""

    @property
    def begun(self) -> bool:
        """Something of the reply has arrived."""
        ...

    @property
    def finished(self) -> bool:
        """The reply is whole."""
        ...

    def reply(self) -> Reply: ...


class OfficialClients(Generic[C]):
    """`make` is the driver's client, `failed` the base of what that raises, `lost` what it raises
    when there was no answer."""

    def __init__(
        self,
        make: Callable[[Endpoint, httpx2.AsyncClient], C],
        *,
        failed: type[Exception],
        lost: type[Exception],
    ) -> None:
        self.http = http.new_http_client()
        #: What a request may raise; `failure` has words for it.
        self.errors = (failed, httpx2.HTTPError, httpx2.StreamError)
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

    async def streamed(
        self,
        endpoint: Endpoint,
        opening: Awaitable[EventSource],
        collector: Collector,
        add: Callable[[object], str],
    ) -> AsyncGenerator[StreamItem, None]:
        """The text of a stream as it comes, then the calls that were asked for, then the reply.

        `add` gives the collector an event and returns its text, or raises `ValueError`.
        """
        try:
            async with await opening as events:
                async for event in events:
                    if text := add(event):
                        yield text
        except self.errors as error:
            raise self.failure(endpoint, error) from None
        except ValueError as error:
            raise malformed(endpoint, f"a stream that cannot be read: {error}") from None
        if not collector.finished:
            raise unfinished(endpoint, begun=collector.begun)
        reply = collector.reply()
        for call in reply.calls:
            yield call
        yield reply

    async def aclose(self) -> None:
        """Close the pool."""
        await self.http.aclose()
