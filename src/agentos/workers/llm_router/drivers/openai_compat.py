"""Every service that speaks OpenAI's chat format, through the official `openai` client.

The client gives transport, server-sent events and error classes. Bodies are ours on both sides:
the services differ in details that the client's own types would hide or refuse.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx2
import msgspec
from openai import APIConnectionError, APIError, AsyncOpenAI, AsyncStream, Omit

from agentos.workers.llm_router.conversation import Prompt, Reply
from agentos.workers.llm_router.drivers import http
from agentos.workers.llm_router.drivers.base import StreamItem
from agentos.workers.llm_router.drivers.official import OfficialClients
from agentos.workers.llm_router.drivers.openai_wire import Collector, WireAnswer, request_body
from agentos.workers.llm_router.drivers.token_exchange import TokenExchange
from agentos.workers.llm_router.endpoints import Endpoint
from agentos.workers.llm_router.failures import malformed, refused
from agentos.workers.llm_router.names import NameMap


class OpenAICompatDriver:
    """Speaks to any endpoint of that format."""

    def __init__(self) -> None:
        self._clients = OfficialClients(_Client, failed=APIError, lost=APIConnectionError)
        self._exchange = TokenExchange(self._clients.http)

    async def complete(self, endpoint: Endpoint, prompt: Prompt) -> Reply:
        """One `POST .../chat/completions`."""
        endpoint = await self._exchange.signed_in(endpoint)
        names = NameMap()
        body = request_body(prompt, endpoint.provider, names, stream=False)
        try:
            response = await self._clients.of(endpoint).post(
                endpoint.provider.chat_path,
                cast_to=httpx2.Response,
                body=body,
                options={"headers": _without_key(endpoint)},
            )
        except self._clients.errors as error:
            raise self._clients.failure(endpoint, error) from None
        collector = Collector(names, prompt.model)
        answer = _decode(endpoint, response)
        if not answer.choices:
            raise malformed(endpoint, "an answer without choices")
        collector.add(answer)
        return collector.reply()

    async def stream(self, endpoint: Endpoint, prompt: Prompt) -> AsyncGenerator[StreamItem, None]:
        """The same with `stream: true`."""
        endpoint = await self._exchange.signed_in(endpoint)
        names = NameMap()
        collector = Collector(names, prompt.model)
        opening = self._clients.of(endpoint).post(
            endpoint.provider.chat_path,
            cast_to=object,
            body=request_body(prompt, endpoint.provider, names, stream=True),
            options={"headers": _without_key(endpoint)},
            stream=True,
            stream_cls=AsyncStream[object],
        )

        def add(chunk: object) -> str:
            return collector.add(_chunk(endpoint, chunk))

        async with aclosing(self._clients.streamed(endpoint, opening, collector, add)) as items:
            async for item in items:
                yield item

    async def aclose(self) -> None:
        """Close the pool."""
        await self._clients.aclose()


class _Client(AsyncOpenAI):
    """The official client, sending only our headers.

    By itself it adds organisation, project and custom headers from `OPENAI_*` variables to every
    request, which must not reach other companies' services.
    """

    def __init__(self, endpoint: Endpoint, http_client: httpx2.AsyncClient) -> None:
        super().__init__(
            api_key=endpoint.key or "none",
            base_url=endpoint.base_url,
            http_client=http_client,
            timeout=http.TIMEOUT,
            max_retries=0,
        )
        self._only_headers: dict[str, str | Omit] = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "agentos",
            **endpoint.provider.headers,
        }
        if endpoint.key:
            self._only_headers["Authorization"] = f"Bearer {endpoint.key}"

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        return self._only_headers


def _without_key(endpoint: Endpoint) -> dict[str, str | Omit]:
    """What tells the client that a missing key is meant."""
    return {} if endpoint.key else {"Authorization": Omit()}


def _decode(endpoint: Endpoint, response: httpx2.Response) -> WireAnswer:
    try:
        answer = msgspec.json.decode(response.content, type=WireAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(endpoint, f"an answer that cannot be read: {error}") from None
    return _checked(endpoint, answer)


def _chunk(endpoint: Endpoint, chunk: object) -> WireAnswer:
    try:
        return _checked(endpoint, msgspec.convert(chunk, type=WireAnswer))
    except msgspec.ValidationError as error:
        raise malformed(endpoint, f"a chunk that cannot be read: {error}") from None


def _checked(endpoint: Endpoint, answer: WireAnswer) -> WireAnswer:
    failure = answer.failure()
    if failure is not None:
        raise refused(endpoint, *failure)
    return answer
