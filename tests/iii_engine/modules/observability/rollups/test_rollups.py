"""Rollups: filled as reports come, listed by level, time and name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.desk import Desk, running
from tests.support.reports import SECOND, report, spread

from iii_engine.core.clock import VirtualClock
from iii_engine.modules.observability import ObservabilityModule
from iii_engine.modules.observability.metrics.metric import Metric
from iii_engine.modules.observability.metrics.series import SeriesTable
from iii_engine.modules.observability.rollups import level as levels
from iii_engine.modules.observability.rollups.level import RESOLUTIONS, Level
from iii_engine.modules.observability.rollups.part import EVERY, SAMPLE_SECONDS
from iii_sdk.errors import BusError

#: A whole hour.
HOUR = 1_700_002_800 * SECOND


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock = VirtualClock(HOUR)
    async with running(ObservabilityModule, clock=clock) as desk:
        yield desk


def take(desk: Desk, *metrics: Metric) -> None:
    module = desk.module
    assert isinstance(module, ObservabilityModule)
    module.telemetry.metrics.take(metrics)


def rollups(desk: Desk, name: str = "m", **query: Any) -> list[Any]:
    found = desk.ask("engine::rollups::list", {"metric_name": name, **query})
    rows: list[Any] = found["rollups"]
    return rows


async def test_points_of_a_minute_are_one_rollup(desk: Desk) -> None:
    take(desk, report("m", 3, 1, at_ns=HOUR), report("m", 8, at_ns=HOUR + 59 * SECOND))
    desk.clock.advance(60)
    take(desk, report("m", 5, at_ns=HOUR + 60 * SECOND))
    assert desk.ask("engine::rollups::list", {"metric_name": "m"}) == {
        "rollups": [
            {
                "name": "m",
                "bucket_start_ns": HOUR,
                "bucket_end_ns": HOUR + 60 * SECOND,
                "count": 3,
                "sum": 12,
                "min": 1,
                "max": 8,
                "avg": 4,
            },
            {
                "name": "m",
                "bucket_start_ns": HOUR + 60 * SECOND,
                "bucket_end_ns": HOUR + 120 * SECOND,
                "count": 1,
                "sum": 5,
                "min": 5,
                "max": 5,
                "avg": 5,
            },
        ],
        "histogram_rollups": [],
        "level": 0,
        "query": {
            "start_time": HOUR // 1_000_000 + 60_000 - 3_600_000,
            "end_time": HOUR // 1_000_000 + 60_000,
            "level": 0,
            "metric_name": "m",
        },
        "timestamp": HOUR // 1_000_000 + 60_000,
    }


async def test_a_bucket_that_overlaps_the_range_is_part_of_it(desk: Desk) -> None:
    take(desk, report("m", 1, at_ns=HOUR))
    desk.clock.advance(59)
    middle = HOUR // 1_000_000 + 30_000
    assert len(rollups(desk, start_time=middle, end_time=middle)) == 1
    assert rollups(desk, start_time=HOUR // 1_000_000 + 60_000, end_time=2e12) == []


def pass_by(desk: Desk, seconds: float) -> None:
    """Let time pass, and what is due every few seconds happen in the last of its minutes."""
    last = SAMPLE_SECONDS * EVERY
    desk.clock.advance(seconds - last)
    desk.advance(last)


async def test_each_level_has_its_length_and_is_kept_for_its_time(desk: Desk) -> None:
    take(desk, report("m", 1, at_ns=HOUR))
    for seconds, known in ((3600, (1, 1, 1)), (15_000, (0, 1, 1)), (580_000, (0, 0, 1))):
        pass_by(desk, seconds)
        everything = {"start_time": 0, "end_time": 2e12}
        found = [rollups(desk, level=number, **everything) for number in range(3)]
        # The report itself is there for an hour, and stands in for what is no longer rolled up.
        assert tuple(map(len, found)) == known, seconds
    pass_by(desk, 100_000)
    assert rollups(desk, level=2, start_time=0) == []


async def test_a_histogram_counts_its_first_point_once_and_only_what_is_new(desk: Desk) -> None:
    take(desk, spread("h", 1, 2, 0, total=20, at_ns=HOUR, cumulative=True))
    take(desk, spread("h", 1, 3, 1, total=44, at_ns=HOUR, cumulative=True))
    take(desk, spread("d", 1, 0, 0, total=1, at_ns=HOUR))
    take(desk, spread("d", 1, 0, 0, total=1, at_ns=HOUR))
    found = desk.ask("engine::rollups::list")
    assert found["rollups"] == []
    assert found["histogram_rollups"] == [
        {
            "name": "d",
            "bucket_start_ns": HOUR,
            "bucket_end_ns": HOUR + 60 * SECOND,
            "total_count": 2,
            "total_sum": 2,
            "min": None,
            "max": None,
            "bucket_counts": [2, 0, 0],
            "explicit_bounds": [1, 10],
        },
        {
            "name": "h",
            "bucket_start_ns": HOUR,
            "bucket_end_ns": HOUR + 60 * SECOND,
            "total_count": 5,
            "total_sum": 44,
            "min": None,
            "max": None,
            "bucket_counts": [1, 3, 1],
            "explicit_bounds": [1, 10],
        },
    ]


async def test_a_counter_that_tells_totals_is_rolled_up_by_what_it_grew(desk: Desk) -> None:
    for total in (10, 15, 3):  # the worker began anew before the last
        take(desk, report("m", total, at_ns=HOUR, kind="counter", cumulative=True))
    (rollup,) = rollups(desk)
    assert (rollup["count"], rollup["sum"]) == (3, 18)


async def test_the_engine_s_instruments_are_rolled_up_too(desk: Desk) -> None:
    desk.handler("f")
    depth = desk.engine.meters.observe("depth", lambda: [((), 7.0)])
    for _ in range(3):
        desk.ask("f")
    desk.advance(10)
    desk.ask("f")
    desk.advance(50)
    (calls,) = rollups(desk, "iii.invocations.total", end_time=HOUR // 1_000_000 + 59_999)
    assert (calls["sum"], calls["max"]) == (4, 3)
    (gauge,) = rollups(desk, "depth", end_time=HOUR // 1_000_000 + 59_999)
    assert (gauge["avg"], gauge["count"]) == (7, 5)
    durations = desk.ask("engine::rollups::list", {"metric_name": "iii.invocation.duration"})
    assert sum(row["total_count"] for row in durations["histogram_rollups"]) >= 4
    depth.end()


async def test_what_is_no_longer_rolled_up_is_made_of_the_reports_still_stored() -> None:
    options = {"metrics_retention_seconds": 90_000}
    async with running(ObservabilityModule, options, clock=VirtualClock(HOUR)) as desk:
        take(desk, report("m", 4, at_ns=HOUR))
        desk.advance(7200)
        ask = {"metric_name": "m", "start_time": 0, "end_time": HOUR // 1_000_000 + 1}
        found = desk.ask("engine::rollups::list", ask)
        assert found["source"] == "on_the_fly"
        assert [row["sum"] for row in found["rollups"]] == [4]
        assert "source" not in desk.ask("engine::rollups::list", {**ask, "level": 2})


async def test_a_report_from_the_future_counts_as_of_now(desk: Desk) -> None:
    take(desk, report("m", 1, at_ns=HOUR * 2))
    (rollup,) = rollups(desk)
    assert rollup["bucket_start_ns"] == HOUR


async def test_wrong_questions(desk: Desk) -> None:
    with pytest.raises(BusError, match="level"):
        desk.ask("engine::rollups::list", {"level": 3})
    assert desk.ask("engine::rollups::list", {"end_time": 1e30}) == {
        "error": "end_time value too large",
        "rollups": [],
        "histogram_rollups": [],
    }


async def test_nothing_is_read_of_the_engine_while_metrics_are_off() -> None:
    async with running(ObservabilityModule, {"metrics_enabled": False}) as desk:
        desk.advance(70)
        assert desk.ask("engine::rollups::list")["rollups"] == []


def test_a_level_is_bounded_and_the_oldest_time_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "MAX_BUCKETS", 3)
    level = Level(RESOLUTIONS[0])
    for minute in range(3):
        for name in "ab":
            level.add(name, 1, HOUR + minute * 60 * SECOND)
    level.clean(HOUR)
    assert len(level) == 2
    found = [b.start_ns for b in level.find(0, HOUR * 2, None) if b is not None]
    assert found == [HOUR + 120 * SECOND] * 2


def test_a_name_that_turns_into_something_else_begins_anew() -> None:
    level = Level(RESOLUTIONS[0])
    (histogram,) = values_of(spread("m", 1, 1, 1, at_ns=HOUR))
    level.add("m", 1, HOUR)
    level.add("m", histogram, HOUR)
    level.add("m", 5, HOUR)
    (bucket,) = level.find(0, HOUR, "m")
    assert bucket is not None
    assert bucket.summary == histogram


def values_of(metric: Metric) -> list[Any]:
    return [change.value for change in SeriesTable().take(metric)]
