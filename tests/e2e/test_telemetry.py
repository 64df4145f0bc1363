"""What our SDK tells about a worker, as the engine shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.waiting import until

from iii_sdk import Bus, Worker, connect
from iii_sdk.telemetry import Settings

QUICK = Settings(spans_interval=0.01, logs_interval=0.01, metrics_interval=0.05)

worker = Worker("shop", telemetry=QUICK)


@worker.function("shop::order")
async def order(bus: Bus) -> int:
    bus.log.warning("low on stock", left=2)
    with bus.span("pack"):
        price: int = await bus.call("shop::price")
    return price


@worker.function("shop::price")
async def price() -> int:
    return 5


@pytest.fixture
async def bus(engine: RunningEngine) -> AsyncIterator[Bus]:
    """A client of an engine on which the worker is."""
    ready = asyncio.Event()
    serving = asyncio.create_task(worker.serve(engine.url, ready=ready))
    await ready.wait()
    async with connect(engine.url, name="client") as bus:
        yield bus
    await worker.stop(drain=0)
    await serving


def path(node: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and service from a span down to the first leaf."""
    below = path(node["children"][0]) if node["children"] else []
    return [(node["name"], node["service_name"]), *below]


async def test_a_call_is_one_trace_through_engine_and_worker(bus: Bus) -> None:
    assert await bus.call("shop::order") == 5

    async def trace() -> list[tuple[str, str]]:
        found = await bus.call("engine::traces::list", {"name": "shop::order"})
        trace_id = found["spans"][0]["trace_id"]
        tree = await bus.call("engine::traces::tree", {"trace_id": trace_id})
        names = path(tree["roots"][0])
        return names if len(names) == 7 else []

    assert await until(trace) == [
        ("handle_invocation shop::order", "iii"),
        ("call shop::order", "iii"),
        ("call shop::order", "shop"),
        ("pack", "shop"),
        ("handle_invocation shop::price", "iii"),
        ("call shop::price", "iii"),
        ("call shop::price", "shop"),
    ]


async def test_lines_of_a_handler_are_in_its_trace(bus: Bus) -> None:
    await bus.call("shop::order")

    async def line() -> Any:
        found = await bus.call("engine::logs::list", {"severity_text": "WARN"})
        return next((log for log in found["logs"] if log["body"] == "low on stock"), None)

    found = await until(line)
    (root,) = (await bus.call("engine::traces::list", {"name": "shop::order"}))["spans"]
    assert (found["trace_id"], found["service_name"]) == (root["trace_id"], "shop")


async def test_the_process_of_a_worker_is_shown(bus: Bus) -> None:
    async def vitals() -> Any:
        workers = (await bus.call("engine::workers::list", {}))["workers"]
        return next(row["latest_metrics"] for row in workers if row["name"] == "shop")

    found = await until(vitals)
    assert (found["runtime"], found["memory_rss"] > 1_000_000) == ("python", True)
