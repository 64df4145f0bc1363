"""Requests of the engine itself."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.endpoint import Endpoint, answering

from iii_engine.net.client.client import Client
from iii_engine.net.client.incoming import RequestFailed
from iii_engine.net.client.security import CONFIGURED
from iii_engine.net.client.target import read_target


async def test_a_body_is_posted_and_the_response_has_its_headers() -> None:
    client = Client(asyncio.get_running_loop())
    async with Endpoint(lambda _: answering(b"later", "503 Busy", "Retry-After: 7")) as endpoint:
        target = read_target(f"{endpoint.url}/v1/traces?a=b", CONFIGURED)
        response = await client.post(target, {"Content-Type": "text/plain"}, b"hello", 5)
        assert (response.status, response.reason, response.body) == (503, "Busy", b"later")
        assert response.headers["retry-after"] == "7"
        await client.post(target, {}, b"", 5)
        client.close()
    first, second = endpoint.requests
    assert (first.method, first.resource, first.body) == ("POST", "/v1/traces?a=b", b"hello")
    assert first.headers["content-type"] == "text/plain"
    assert first.headers["user-agent"].startswith("iii-engine/")
    assert second.body == b""
    assert endpoint.connections == 1


async def test_what_a_kept_connection_lost_is_sent_again() -> None:
    client = Client(asyncio.get_running_loop())
    async with Endpoint(lambda _: answering(b"ok"), close_after=1) as endpoint:
        target = read_target(endpoint.url, CONFIGURED)
        for _ in range(2):
            assert (await client.post(target, {}, b"x", 5)).body == b"ok"
        client.close()
    assert endpoint.connections == 2


async def test_nobody_there_is_an_error_that_names_the_endpoint_only() -> None:
    client = Client(asyncio.get_running_loop())
    async with Endpoint(lambda _: None) as endpoint:
        url = endpoint.url
        with pytest.raises(RequestFailed, match="no answer within 50 ms"):
            await client.post(read_target(url, CONFIGURED), {}, b"", 0.05)
    with pytest.raises(RequestFailed, match="cannot connect to 127"):
        await client.post(read_target(f"{url}/secret", CONFIGURED), {}, b"", 5)
    client.close()
