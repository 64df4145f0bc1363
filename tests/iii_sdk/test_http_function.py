"""Functions that our workers have the engine request elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.endpoint import Endpoint, Request, answering
from tests.support.engine import RunningEngine
from tests.support.served import served
from tests.support.waiting import until

from iii_sdk import BusError, HttpAuth, HttpInvocation, Worker, http


@pytest.fixture
async def engine() -> AsyncIterator[RunningEngine]:
    security = {"block_private_ips": False, "require_https": False}
    running = RunningEngine({"iii-http-functions": {"security": security}})
    await running.start()
    yield running
    await running.stop()


def mirror(request: Request) -> bytes:
    return answering(request.body)


async def test_it_is_called_like_any_other(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_TOKEN", "t")
    worker = Worker("remote")
    async with Endpoint(mirror) as endpoint:
        worker.http_function(
            "ext::mirror",
            HttpInvocation(endpoint.url, "PUT", auth=HttpAuth("bearer", token_key="TEST_TOKEN")),
            http("POST", "/mirror", public=True),
            description="Answers what it gets",
            metadata={"category": "x"},
            request_format={"type": "object"},
        )
        async with served(engine, worker) as bus:
            assert await bus.call("ext::mirror", {"a": [1]}) == {"a": [1]}
            provider = engine.core.registry.get("ext::mirror").newest
            assert provider.description == "Answers what it gets"
            assert bytes(provider.metadata) == b'{"category":"x"}'
            assert bytes(provider.request_format) == b'{"type":"object"}'
            assert [t.type for t in engine.core.triggers] == ["http"]
            worker.remove("ext::mirror")
            await until(lambda: "ext::mirror" not in engine.core.registry, "it is withdrawn")
            assert not list(engine.core.triggers)
    assert endpoint.requests[0].method == "PUT"
    assert endpoint.requests[0].headers["authorization"] == "Bearer t"


async def test_it_may_come_while_the_worker_serves(engine: RunningEngine) -> None:
    worker = Worker("remote")
    async with Endpoint(mirror) as endpoint, served(engine, worker) as bus:
        worker.http_function("ext::mirror", HttpInvocation(endpoint.url))
        await until(lambda: "ext::mirror" in engine.core.registry, "it is offered")
        assert await bus.call("ext::mirror", 1) == 1


async def test_a_caller_sees_the_endpoints_error(engine: RunningEngine) -> None:
    worker = Worker("remote")
    failing = answering(b'{"error":{"code":"not_found","message":"no such cat"}}', "404 Not Found")
    async with Endpoint(lambda request: failing) as endpoint:
        worker.http_function("ext::cat", HttpInvocation(endpoint.url))
        async with served(engine, worker) as bus:
            with pytest.raises(BusError, match="no such cat"):
                await bus.call("ext::cat")


def test_a_route_without_a_handler_is_public_or_refused() -> None:
    invocation = HttpInvocation("https://example.com/")
    with pytest.raises(ValueError, match="check a key"):
        Worker("remote").http_function("a::b", invocation, http("POST", "/b"))


def test_ids_are_checked() -> None:
    worker = Worker("remote")
    worker.http_function("a::b", HttpInvocation("https://example.com/"))
    with pytest.raises(ValueError, match="already registered"):
        worker.http_function("a::b", HttpInvocation("https://example.com/"))
    with pytest.raises(ValueError, match="already registered"):
        worker.function("a::b")(test_ids_are_checked)
    with pytest.raises(ValueError, match="id is required"):
        worker.http_function(" ", HttpInvocation("https://example.com/"))
