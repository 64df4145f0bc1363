"""What our SDK tells of its workers, as a real engine shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.served import served
from tests.support.waiting import until

from iii_sdk import III, Bus, Worker
from iii_sdk.compat import Logger
from iii_sdk.telemetry import Settings

QUICK = Settings(spans_interval=0.01, logs_interval=0.01, metrics_interval=0.05)


@pytest.fixture
async def bus(engine: RunningEngine) -> AsyncIterator[Bus]:
    worker = Worker("house", telemetry=QUICK)

    @worker.function("house::outer")
    async def outer(bus: Bus) -> int:
        with bus.span("thinking", depth=2) as span:
            span.event("idea")
            return int(await bus.call("house::inner"))

    @worker.function("house::inner")
    async def inner() -> int:
        raise ValueError("no idea")

    async with served(engine, worker) as bus:
        yield bus


def flat(tree: list[dict[str, Any]], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Spans by the path of names that leads to them."""
    found: dict[tuple[str, ...], Any] = {}
    for span in tree:
        path = (*above, span["name"])
        found |= {path: span, **flat(span["children"], path)}
    return found


@pytest.mark.promise(
    "Traces",
    "A call that a handler makes is a child of the handler's span, through every worker.",
)
async def test_a_trace_goes_through_workers_and_engine(engine: RunningEngine, bus: Bus) -> None:
    with pytest.raises(Exception, match="no idea"):
        await bus.call("house::outer")

    async def whole() -> dict[tuple[str, ...], Any]:
        query = {"name": "thinking", "search_all_spans": True}
        rows = (await bus.call("engine::traces::list", query))["spans"]
        if not rows:
            return {}
        tree = await bus.call("engine::traces::tree", {"trace_id": rows[0]["trace_id"]})
        paths = flat(tree["roots"])
        return paths if any(p[-1] == "call house::inner" and len(p) > 3 for p in paths) else {}

    paths = await until(whole, "the spans of the worker arrived")
    (thinking,) = [span for path, span in paths.items() if path[-1] == "thinking"]
    assert thinking["attributes"] == [["depth", "2"]]
    assert [event["name"] for event in thinking["events"]] == ["idea", "exception"]
    assert thinking["status"] == "error"
    assert thinking["service_name"] == "house"
    deepest = max(paths, key=len)
    assert deepest == (
        "handle_invocation house::outer",
        "call house::outer",
        "call house::outer",
        "thinking",
        "handle_invocation house::inner",
        "call house::inner",
        "call house::inner",
    )
    assert paths[deepest]["status"] == "error"


async def test_the_process_shows_in_the_list_of_workers(engine: RunningEngine, bus: Bus) -> None:
    async def measured() -> Any:
        rows = (await bus.call("engine::workers::list"))["workers"]
        return next(row["latest_metrics"] for row in rows if row["name"] == "house")

    latest = await until(measured)
    assert latest["runtime"] == "python"
    assert latest["memory_rss"] > 1_000_000
    assert latest["uptime_seconds"] >= 0
    assert "event_loop_lag_ms" in latest


async def test_records_of_the_logger_are_listed(engine: RunningEngine, bus: Bus) -> None:
    iii = III(engine.url, worker_name="published-form")
    try:
        await iii.connect_async()
        Logger(service_name="svc").error("it is bad", {"n": 1})

        async def listed() -> Any:
            found = await bus.call("engine::logs::list", {"severity_text": "error"})
            return [row for row in found["logs"] if row["body"] == "it is bad"]

        (row,) = await until(listed)
        assert row["severity_number"] == 17
        assert row["attributes"]["n"] == 1
        assert row["service_name"] == "svc"
    finally:
        await asyncio.to_thread(iii.shutdown)
