"""The page for Prometheus of a real engine."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.support.engine import RunningEngine
from tests.support.prometheus import Family, parse
from tests.support.raw_worker import RawWorker
from tests.support.reports import report

from iii_engine.modules.observability import ObservabilityModule
from iii_engine.modules.observability.options import ObservabilityOptions
from iii_sdk.errors import BusError


async def fetch(engine: RunningEngine, path: str = "/metrics", *headers: str) -> tuple[int, bytes]:
    """Status and whole response of a plain GET."""
    reader, writer = await asyncio.open_connection(*engine.app.address)
    lines = "".join(f"{header}\r\n" for header in ("Host: x", "Connection: close", *headers))
    writer.write(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
    response = await reader.read()
    writer.close()
    return int(response.split(b" ", 2)[1]), response


async def scrape(engine: RunningEngine) -> dict[str, Family]:
    status, response = await fetch(engine)
    head, _, body = response.partition(b"\r\n\r\n")
    assert status == 200
    assert b"content-type: text/plain; version=0.0.4; charset=utf-8" in head.lower()
    return parse(body)


def observability(engine: RunningEngine) -> ObservabilityModule:
    module = engine.app.modules["iii-observability"]
    assert isinstance(module, ObservabilityModule)
    return module


async def test_the_five_metrics_of_the_architecture_page(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        for _ in range(2):
            await worker.call("engine::functions::list", {})
        now = engine.core.clock.now_ns()
        observability(engine).telemetry.metrics.take(
            [
                report("tokens_used_total", 42, at_ns=now, kind="counter", service="llm-router"),
                report("active_sessions", 3, at_ns=now, service="agent-core"),
            ]
        )
        families = await scrape(engine)
    assert families["iii_invocations_total"].value("iii_invocations_total") == 2
    assert families["iii_invocations_error"].value("iii_invocations_error") == 0
    took = families["function_call_duration_ms"]
    assert took.type == "histogram"
    count = "function_call_duration_ms_count"
    assert took.value(count, function_id="engine::functions::list") == 2
    tokens = families["tokens_used_total"]
    assert tokens.value("tokens_used_total", service_name="llm-router") == 42
    sessions = families["active_sessions"]
    assert sessions.value("active_sessions", service_name="agent-core") == 3
    assert families["iii_workers_active"].value("iii_workers_active") == 1


async def test_the_path_can_change_and_go_while_running(engine: RunningEngine) -> None:
    module = observability(engine)
    other = msgspec.convert({"prometheus_path": "/numbers"}, ObservabilityOptions)
    assert await module.reconfigure(other)
    assert (await fetch(engine, "/numbers"))[0] == 200
    assert (await fetch(engine, "/numbers?x=1"))[0] == 200
    assert (await fetch(engine))[0] == 404
    for nowhere in ({"prometheus_path": None}, {"metrics_enabled": False}):
        assert await module.reconfigure(msgspec.convert(nowhere, ObservabilityOptions))
        assert (await fetch(engine))[0] == 404
        assert (await fetch(engine, "/numbers"))[0] == 404


async def test_a_web_page_of_elsewhere_does_not_get_it(engine: RunningEngine) -> None:
    assert (await fetch(engine, "/metrics", "Origin: https://elsewhere.example"))[0] == 403


async def test_a_listener_with_access_rules_does_not_show_it() -> None:
    engine = RunningEngine({"iii-worker-manager": {"rbac": {}}})
    await engine.start()
    try:
        assert (await fetch(engine))[0] == 404
        assert (await fetch(engine, "/health"))[0] == 200
    finally:
        await engine.stop()


@pytest.mark.parametrize("path", ["metrics", "/a?b", "/", "/otel", "/health", "/ws/channels/x"])
def test_paths_that_cannot_be_a_page(path: str) -> None:
    with pytest.raises(BusError, match=r"config\.prometheus_path"):
        ObservabilityModule.check(ObservabilityOptions(prometheus_path=path))
