"""Anthropic's messages API, through the official `anthropic` client.

As with the other driver, the client gives transport, events and error classes; bodies are ours.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx2
import msgspec
from anthropic import (
    APIConnectionError,
    APIError,
    AsyncAnthropic,
    AsyncStream,
    Omit,
)

from agentos.workers.llm_router.conversation import Prompt, Reply
from agentos.workers.llm_router.drivers import http
from agentos.workers.llm_router.drivers.anthropic_wire import (
    Collector,
    WireEvent,
    WireMessage,
    reply_of,
    request_body,
)
from agentos.workers.llm_router.drivers.base import StreamItem
from agentos.workers.llm_router.drivers.official import OfficialClients
from agentos.workers.llm_router.endpoints import Endpoint
from agentos.workers.llm_router.failures import malformed
from agentos.workers.llm_router.names import NameMap

_PATH = "/v1/messages"
_VERSION = "2023-06-01"


class AnthropicDriver:
    """Speaks to Anthropic, or to whatever `ANTHROPIC_BASE_URL` names."""

    def __init__(self) -> None:
        self._clients = OfficialClients(_Client, failed=APIError, lost=APIConnectionError)

    async def complete(self, endpoint: Endpoint, prompt: Prompt) -> Reply:
        """One `POST /v1/messages`."""
        names = NameMap()
        try:
            response = await self._clients.of(endpoint).post(
                _PATH,
                cast_to=httpx2.Response,
                body=request_body(prompt, names, stream=False),
            )
        except self._clients.errors as error:
            raise self._clients.failure(endpoint, error) from None
        try:
            message = msgspec.json.decode(response.content, type=WireMessage)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise malformed(endpoint, f"an answer that cannot be read: {error}") from None
        return reply_of(message, names)

    async def stream(self, endpoint: Endpoint, prompt: Prompt) -> AsyncGenerator[StreamItem, None]:
        """The same with `stream: true`."""
        names = NameMap()
        collector = Collector(names, prompt.model)
        opening = self._clients.of(endpoint).post(
            _PATH,
            cast_to=object,
            body=request_body(prompt, names, stream=True),
            stream=True,
            stream_cls=AsyncStream[object],
        )

        def add(event: object) -> str:
            return collector.add(msgspec.convert(event, type=WireEvent))

        async with aclosing(self._clients.streamed(endpoint, opening, collector, add)) as items:
            async for item in items:
                yield item

    async def aclose(self) -> None:
        """Close the pool."""
        await self._clients.aclose()


class _Client(AsyncAnthropic):
    """The official client with the documented key header, and no headers from the environment."""

    def __init__(self, endpoint: Endpoint, http_client: httpx2.AsyncClient) -> None:
        super().__init__(
            api_key=endpoint.key,
            base_url=endpoint.base_url,
            http_client=http_client,
            timeout=http.TIMEOUT,
            max_retries=0,
        )
        self._custom_headers = {}
        self._only_headers: dict[str, str | Omit] = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "agentos",
            "anthropic-version": _VERSION,
            "x-api-key": endpoint.key,
        }

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        return self._only_headers
