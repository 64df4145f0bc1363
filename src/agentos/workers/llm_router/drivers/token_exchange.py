"""Session tokens for a service that wants them in exchange for the key (GitHub Copilot)."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx2
import msgspec

from agentos.workers.llm_router.endpoints import Endpoint
from agentos.workers.llm_router.failures import malformed, refused, unreachable

EARLY_S = 60.0


class SessionToken(msgspec.Struct):
    """What the exchange answers; `expires_at` in seconds since the epoch."""

    token: str
    expires_at: float


class TokenExchange:
    """Keeps one session token per key, until a minute before it expires."""

    def __init__(self, client: httpx2.AsyncClient, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._tokens: dict[str, SessionToken] = {}

    async def signed_in(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with the session token as its key; unchanged where none is needed."""
        url = endpoint.provider.token_exchange_url
        if not url:
            return endpoint
        session = self._tokens.get(endpoint.key)
        if session is None or self._clock() > session.expires_at - EARLY_S:
            session = self._tokens[endpoint.key] = await self._exchange(endpoint, url)
        return msgspec.structs.replace(endpoint, key=session.token)

    async def _exchange(self, endpoint: Endpoint, url: str) -> SessionToken:
        headers = {"Authorization": f"token {endpoint.key}"}
        try:
            response = await self._client.get(url, headers=headers)
        except httpx2.HTTPError as error:
            raise unreachable(endpoint, error) from None
        if response.status_code != 200:
            raise refused(endpoint, response.status_code, response.text)
        try:
            return msgspec.json.decode(response.content, type=SessionToken)
        except msgspec.DecodeError:
            raise malformed(endpoint, "a session token that cannot be read") from None
