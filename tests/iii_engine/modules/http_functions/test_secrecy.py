"""Credentials leave the engine in a request's headers only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.support.endpoint import Answer, Endpoint, Request, answering
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker

SECRET = "s3cret-of-the-endpoint"
AUTHS = [
    {"type": "hmac", "secret_key": "TEST_ENDPOINT_KEY"},
    {"type": "bearer", "token_key": "TEST_ENDPOINT_KEY"},
    {"type": "api_key", "header": "X-Key", "value_key": "TEST_ENDPOINT_KEY"},
]


def no_json(request: Request) -> Answer:
    return answering(b"{no json")


def error(request: Request) -> Answer:
    return answering(b"", "500 Internal Server Error")


def broken(request: Request) -> Answer:
    return b"HTTP/9.9 what\r\n\r\n"


async def never(request: Request) -> Answer:
    await asyncio.sleep(60)
    return None


@pytest.mark.parametrize("auth", AUTHS, ids=[str(auth["type"]) for auth in AUTHS])
@pytest.mark.parametrize("answer", [no_json, error, broken, never])
async def test_no_failure_tells_a_secret(
    relaxed: RunningEngine,
    worker: RawWorker,
    auth: dict[str, str],
    answer: Callable[[Request], Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TEST_ENDPOINT_KEY", SECRET)
    async with Endpoint(answer) as endpoint:
        url = f"{endpoint.url}/in?token={SECRET}"
        headers = {"x-other": SECRET}
        invocation = {"url": url, "auth": auth, "headers": headers, "timeout_ms": 300}
        await worker.register("ext::f", invocation=invocation)
        with pytest.raises(CallFailed) as failed:
            await worker.call("ext::f", {})
        (request,) = endpoint.requests
    assert SECRET in request.resource  # it was sent, so there was something to tell
    spans = [span for span in relaxed.core.spans if "ext::f" in span.name]
    assert spans
    listed = await worker.call("engine::functions::list", {})
    for shown in (failed.value, spans, listed):
        assert SECRET not in repr(shown)
    assert SECRET.encode() not in msgspec.json.encode(listed)
    assert SECRET not in caplog.text
