"""`engine::metrics::list`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.desk import Desk, running
from tests.support.reports import SECOND, report

from iii_engine.modules.observability import ObservabilityModule
from iii_engine.net.memory import MemoryPeer
from iii_sdk.errors import BusError


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running(ObservabilityModule) as desk:
        yield desk


def take(desk: Desk, *values: float, name: str = "m", back: float = 0) -> None:
    """A worker reports a gauge, `back` seconds ago."""
    at_ns = desk.clock.now_ns() - round(back * SECOND)
    module = desk.module
    assert isinstance(module, ObservabilityModule)
    module.telemetry.metrics.take([report(name, *values, at_ns=at_ns)])


async def test_modules_case_112_calls_are_counted_by_function(desk: Desk) -> None:
    desk.handler("f")
    for _ in range(2):
        desk.ask("f")
    with pytest.raises(BusError):
        desk.ask("nothing")
    invocations = desk.ask("engine::metrics::list")["engine_metrics"]["invocations"]
    assert invocations == {
        "total": 3,
        "success": 2,
        "error": 1,
        "deferred": 0,
        "by_function": {"f": 2},
    }


async def test_without_anything_all_keys_are_there(desk: Desk) -> None:
    assert desk.ask("engine::metrics::list") == {
        "engine_metrics": {
            "invocations": {
                "total": 0,
                "success": 0,
                "error": 0,
                "deferred": 0,
                "by_function": {},
            },
            "workers": {"spawns": 0, "deaths": 0, "active": 0},
            "performance": {
                "avg_duration_ms": 0,
                "p50_duration_ms": 0,
                "p95_duration_ms": 0,
                "p99_duration_ms": 0,
                "min_duration_ms": 0,
                "max_duration_ms": 0,
            },
        },
        "sdk_metrics": [],
        "timestamp": desk.clock.now_ns() // 1_000_000,
    }


async def test_workers_that_came_and_went(desk: Desk) -> None:
    MemoryPeer(desk.engine)
    gone = MemoryPeer(desk.engine)
    desk.engine.disconnect(gone.session)
    workers = desk.ask("engine::metrics::list")["engine_metrics"]["workers"]
    assert workers == {"spawns": 2, "deaths": 1, "active": 1}


async def test_performance_is_over_the_stored_spans(desk: Desk) -> None:
    calls = desk.handler("slow", answer=None)
    for milliseconds in range(1, 101):
        desk.engine.call("slow", b"null", None)
        desk.clock.advance(milliseconds / 1000)
        calls.pop().reply()
    found = desk.ask("engine::metrics::list")["engine_metrics"]["performance"]
    assert found == {
        "avg_duration_ms": pytest.approx(50.5),
        "p50_duration_ms": pytest.approx(51),
        "p95_duration_ms": pytest.approx(96),
        "p99_duration_ms": pytest.approx(100),
        "min_duration_ms": pytest.approx(1),
        "max_duration_ms": pytest.approx(100),
    }


async def test_reports_of_workers_by_time_and_name(desk: Desk) -> None:
    take(desk, 1, name="a", back=20)
    take(desk, 2, name="b", back=10)
    now_ms = desk.clock.now_ns() // 1_000_000
    listing = desk.ask("engine::metrics::list", {"start_time": now_ms - 15_000})
    assert [metric["name"] for metric in listing["sdk_metrics"]] == ["b"]
    assert listing["query"] == {
        "start_time": now_ms - 15_000,
        "end_time": None,
        "metric_name": None,
        "aggregate_interval": None,
    }
    by_name = desk.ask("engine::metrics::list", {"metric_name": "a"})
    assert by_name["sdk_metrics"] == [
        {
            "name": "a",
            "description": "",
            "unit": "",
            "metric_type": "gauge",
            "data_points": [
                {
                    "value": 1,
                    "attributes": [],
                    "timestamp_unix_nano": desk.clock.now_ns() - 20 * SECOND,
                }
            ],
            "service_name": "svc",
            "timestamp_unix_nano": desk.clock.now_ns() - 20 * SECOND,
        }
    ]
    assert "query" not in by_name


async def test_points_are_summed_up_by_interval_with_percentiles_from_five_on(desk: Desk) -> None:
    desk.clock.advance(-(desk.clock.now_ns() % (60 * SECOND)) / 1e9 + 59)
    take(desk, 9, name="b", back=58)
    take(desk, 5, 1, 3, 2, 4, name="a", back=30)
    take(desk, 7, name="a", back=70)
    now_ms = desk.clock.now_ns() // 1_000_000
    listing = desk.ask(
        "engine::metrics::list",
        {"start_time": now_ms - 100_000, "end_time": now_ms, "aggregate_interval": 60},
    )
    start = (now_ms - 59_000) * 1_000_000
    assert listing["aggregated_metrics"] == [
        {
            "name": "a",
            "bucket_start_ns": start - 60 * SECOND,
            "bucket_end_ns": start,
            "count": 1,
            "sum": 7,
            "min": 7,
            "max": 7,
            "avg": 7,
        },
        {
            "name": "a",
            "bucket_start_ns": start,
            "bucket_end_ns": start + 60 * SECOND,
            "count": 5,
            "sum": 15,
            "min": 1,
            "max": 5,
            "avg": 3,
            "percentiles": {"p50": 3, "p75": 4, "p90": 5, "p95": 5, "p99": 5},
        },
        {
            "name": "b",
            "bucket_start_ns": start,
            "bucket_end_ns": start + 60 * SECOND,
            "count": 1,
            "sum": 9,
            "min": 9,
            "max": 9,
            "avg": 9,
        },
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"aggregate_interval": 60},
        {"aggregate_interval": 60, "start_time": 0},
        {"aggregate_interval": 60, "start_time": 0, "end_time": 1},
        {"aggregate_interval": 0, "start_time": 0, "end_time": 2e12},
    ],
)
async def test_no_aggregates_without_both_bounds_an_interval_and_data(
    desk: Desk, query: dict[str, float]
) -> None:
    take(desk, 1)
    listing = desk.ask("engine::metrics::list", query)
    assert "aggregated_metrics" not in listing
    assert "query" in listing


@pytest.mark.parametrize("field", ["start_time", "end_time", "aggregate_interval"])
@pytest.mark.parametrize("value", [18446744073709551615, 1e300])
async def test_absurd_times_are_an_answer_of_their_own(
    desk: Desk, field: str, value: float
) -> None:
    assert desk.ask("engine::metrics::list", {field: value}) == {
        "error": f"{field} value too large",
        "sdk_metrics": [],
        "aggregated_metrics": [],
    }


async def test_a_time_before_the_epoch_is_the_beginning(desk: Desk) -> None:
    take(desk, 1)
    assert len(desk.ask("engine::metrics::list", {"start_time": -5})["sdk_metrics"]) == 1


async def test_old_reports_are_dropped_even_when_nobody_asks(desk: Desk) -> None:
    take(desk, 1)
    desk.advance(3700)
    module = desk.module
    assert isinstance(module, ObservabilityModule)
    assert len(module.telemetry.metrics) == 0
