"""Session tokens in exchange for keys."""

from __future__ import annotations

import json

import httpx2
import msgspec
import pytest
from tests.support.scripted_http import Scripted, ScriptedServer

from agentos.workers.llm_router.catalogue import catalogue
from agentos.workers.llm_router.drivers.token_exchange import TokenExchange
from agentos.workers.llm_router.endpoints import Endpoint, ProviderName
from iii_sdk.errors import UpstreamError


def endpoint_of(server):
    provider = catalogue().providers["github_copilot"]
    moved = msgspec.structs.replace(provider, token_exchange_url=f"{server.origin}/token")
    return Endpoint(ProviderName("github_copilot", moved), server.origin, "long-lived")


async def test_a_token_serves_until_shortly_before_it_expires():
    now = 1000.0
    body = json.dumps({"token": "session", "expires_at": 2000}).encode()
    async with (
        ScriptedServer(lambda request: Scripted(body=body)) as server,
        httpx2.AsyncClient() as client,
    ):
        exchange, endpoint = TokenExchange(client, lambda: now), endpoint_of(server)
        for moment, asked in ((1000.0, 1), (1900.0, 1), (1950.0, 2)):
            now = moment
            assert (await exchange.signed_in(endpoint)).key == "session"
            assert len(server.requests) == asked
        assert server.requests[0].headers["authorization"] == "token long-lived"


async def test_a_refusal_does_not_show_the_key():
    async with (
        ScriptedServer(lambda request: Scripted(401, b"long-lived is bad")) as server,
        httpx2.AsyncClient() as client,
    ):
        with pytest.raises(UpstreamError, match="GITHUB_TOKEN") as caught:
            await TokenExchange(client).signed_in(endpoint_of(server))
        assert "long-lived" not in caught.value.message
