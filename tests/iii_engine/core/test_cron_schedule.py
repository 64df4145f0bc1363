"""From local times to instants: zones, daylight saving, intervals (engine-modules 11)."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from iii_engine.core.cron_expression import parse
from iii_engine.core.cron_schedule import NS, Every, InZone, first_instant, parse_interval

NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * NS


def instants(expression: str, zone: tzinfo, start: str, count: int) -> list[str]:
    schedule, found = InZone(parse(expression), zone), list[str]()
    instant: int | None = at(start)
    for _ in range(count):
        assert instant is not None
        instant = schedule.next_after(instant)
        assert instant is not None
        found.append(datetime.fromtimestamp(instant / NS, zone).isoformat(" ")[2:])
    return found


@pytest.mark.parametrize(
    ("zone", "expression", "start", "expected"),
    [
        # Spring: 02:00–03:00 does not exist on the 9th of March 2025.
        (
            "America/New_York",
            "0 30 2 * * *",
            "2025-03-07T12:00:00+00:00",
            ["25-03-08 02:30:00-05:00", "25-03-09 03:00:00-04:00", "25-03-10 02:30:00-04:00"],
        ),
        # All that was skipped, and what is at the first valid instant anyway, run there once.
        (
            "America/New_York",
            "0 0,20,40 2,3 * * *",
            "2025-03-08T12:00:00+00:00",
            ["25-03-09 03:00:00-04:00", "25-03-09 03:20:00-04:00", "25-03-09 03:40:00-04:00"],
        ),
        # Autumn: 01:00–02:00 comes twice on the 2nd of November 2025.
        (
            "America/New_York",
            "0 30 1 * * *",
            "2025-11-01T12:00:00+00:00",
            ["25-11-02 01:30:00-04:00", "25-11-03 01:30:00-05:00"],
        ),
        (
            "America/New_York",
            "0 */30 * * * *",
            "2025-11-02T04:30:00+00:00",
            ["25-11-02 01:00:00-04:00", "25-11-02 01:30:00-04:00", "25-11-02 02:00:00-05:00"],
        ),
        # Started during the repetition, it waits for the time that comes once.
        (
            "America/New_York",
            "*/30 * * * *",
            "2025-11-02T06:10:00+00:00",
            ["25-11-02 02:00:00-05:00", "25-11-02 02:30:00-05:00"],
        ),
        # Half an hour, at an odd place.
        (
            "Australia/Lord_Howe",
            "0 10 2 * * *",
            "2025-10-04T00:00:00+00:00",
            ["25-10-05 02:30:00+11:00", "25-10-06 02:10:00+11:00"],
        ),
        # A whole day was skipped.
        (
            "Pacific/Apia",
            "0 0 12 * * *",
            "2011-12-29T23:00:00+00:00",
            ["11-12-31 00:00:00+14:00", "11-12-31 12:00:00+14:00"],
        ),
        (
            "Asia/Kolkata",
            "0 0 9 * * *",
            "2025-01-01T00:00:00+00:00",
            ["25-01-01 09:00:00+05:30", "25-01-02 09:00:00+05:30"],
        ),
    ],
)
def test_local_times_that_are_skipped_or_repeated(
    zone: str, expression: str, start: str, expected: list[str]
) -> None:
    assert instants(expression, ZoneInfo(zone), start, len(expected)) == expected


def test_every_tick_is_later_than_the_one_before() -> None:
    schedule = InZone(parse("0 */10 * * * *"), NEW_YORK)
    instant = at("2025-01-01T00:00:00+00:00")
    end = at("2026-01-01T00:00:00+00:00")
    seen = 0
    while instant < end:
        following = schedule.next_after(instant)
        assert following is not None
        assert 0 < following - instant <= 4000 * NS + 3600 * NS
        instant, seen = following, seen + 1
    # One hour of local time is missing in spring (its ticks are one that runs anyway), and the
    # additional one in autumn does not count.
    assert seen == 365 * 144 - 6


def test_a_fraction_of_a_second_does_not_hide_a_tick() -> None:
    schedule = InZone(parse("* * * * * *"), UTC)
    assert schedule.next_after(5 * NS - 1) == 5 * NS
    assert schedule.next_after(5 * NS) == 6 * NS


def test_the_first_instant_of_ordinary_and_skipped_times() -> None:
    ordinary = datetime(2025, 6, 1, 12)
    assert first_instant(ordinary, UTC) * NS == at("2025-06-01T12:00:00+00:00")
    skipped = datetime(2025, 3, 9, 2, 0, 1)
    assert first_instant(skipped, NEW_YORK) * NS == at("2025-03-09T07:00:00+00:00")


def test_intervals_are_counted_from_their_anchor() -> None:
    schedule = Every(30 * NS, 7 * NS)
    assert schedule.next_after(7 * NS) == 37 * NS
    assert schedule.next_after(36 * NS) == 37 * NS
    assert schedule.next_after(37 * NS) == 67 * NS
    assert schedule.next_after(-30 * NS) == -23 * NS


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("6h", 21600), (" 1d ", 86400)]
)
def test_intervals(text: str, seconds: int) -> None:
    assert parse_interval(text) == seconds * NS


@pytest.mark.parametrize("text", ["", "0s", "5", "m", "-5m", "1.5h", "5 m", "5w", "٣s", "1" * 10])
def test_what_is_no_interval(text: str) -> None:
    with pytest.raises(ValueError, match="expected a whole number from 1 and a unit"):
        parse_interval(text)
