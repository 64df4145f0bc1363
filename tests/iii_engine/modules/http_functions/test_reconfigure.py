"""Options that change while requests are under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support.endpoint import Endpoint, Request, answering
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker
from tests.support.waiting import until

from iii_engine.modules.http_functions.options import HttpFunctionsOptions


@asynccontextmanager
async def under_way(
    worker: RawWorker,
) -> AsyncIterator[tuple[Callable[[], None], asyncio.Future[Any]]]:
    """A call of `ext::f` whose endpoint answers 1 from when it is released, and its release."""
    released = asyncio.Event()

    async def slowly(request: Request) -> bytes:
        await released.wait()
        return answering(b"1")

    async with Endpoint(slowly) as endpoint:
        await worker.register("ext::f", invocation={"url": endpoint.url})
        calling = asyncio.ensure_future(worker.call("ext::f", {}))
        await until(lambda: endpoint.requests)
        yield released.set, calling


async def test_registrations_are_judged_anew_and_requests_under_way_end(
    relaxed: RunningEngine, worker: RawWorker
) -> None:
    module = relaxed.app.modules["iii-http-functions"]
    before = module.options
    async with under_way(worker) as (release, calling):
        strict = msgspec.convert({"security": {"require_https": True}}, HttpFunctionsOptions)
        assert await module.reconfigure(strict)
        with pytest.raises(CallFailed):
            await worker.call("ext::f", {})
        release()
        assert await calling == 1
        await module.reconfigure(before)
        assert await worker.call("ext::f", {}) == 1


async def test_taken_out_it_answers_what_is_under_way(
    relaxed: RunningEngine, worker: RawWorker
) -> None:
    module = relaxed.app.modules["iii-http-functions"]
    async with under_way(worker) as (release, calling):
        draining = asyncio.ensure_future(module.drain(5))
        await until(lambda: relaxed.core.registry.get("ext::f") is None)
        with pytest.raises(CallFailed):
            await worker.call("ext::f", {})
        release()
        await draining
        assert await calling == 1
