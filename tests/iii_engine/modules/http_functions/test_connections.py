"""The connections that carry calls to endpoints."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.endpoint import Endpoint, Request, answering
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.waiting import until


async def test_at_most_fifty_connections_serve_any_number_of_calls(worker: RawWorker) -> None:
    most = 0

    def answer(request: Request) -> bytes:
        nonlocal most
        most = max(most, endpoint.open)
        return answering(b"1")

    async with Endpoint(answer) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        assert await asyncio.gather(*(worker.call("ext::f", n) for n in range(200))) == [1] * 200
        assert len(endpoint.requests) == 200
        assert endpoint.connections <= 50
        assert 1 < most <= 50


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_closed_connection_is_replaced_where_repeating_is_safe(
    worker: RawWorker, method: str
) -> None:
    seen = 0

    def answer(request: Request) -> bytes:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise OSError("the endpoint closes without a word")
        return answering(b"1")

    async with Endpoint(answer) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url, "method": method})
        assert await worker.call("ext::f") == 1
        assert await worker.call("ext::f") == 1
        assert (endpoint.connections, seen) == (2, 3)


async def test_a_post_is_never_sent_twice(worker: RawWorker) -> None:
    def answer(request: Request) -> bytes:
        if len(endpoint.requests) == 2:
            raise OSError("the endpoint closes without a word")
        return answering(b"1")

    async with Endpoint(answer) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        assert await worker.call("ext::f") == 1
        assert (await worker.failure("ext::f"))[0] == "http_request_failed"
        assert len(endpoint.requests) == 2
        assert await worker.call("ext::f") == 1


async def test_stopping_the_engine_ends_calls_under_way() -> None:
    running = RunningEngine(
        {"iii-http-functions": {"security": {"block_private_ips": False, "require_https": False}}}
    )
    await running.start()
    async with RawWorker(running.url) as worker, Endpoint(lambda request: None) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        answers: list[Any] = []
        running.core.call("ext::f", b"1", lambda result, error: answers.append(error))
        await until(lambda: bool(endpoint.requests), "the request arrived")
        await running.stop()
        assert [error.code for error in answers] == ["invocation_stopped"]
        await until(lambda: endpoint.open == 0, "the connection is closed")
