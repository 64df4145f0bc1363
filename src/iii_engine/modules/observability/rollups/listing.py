"""`engine::rollups::list`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from msgspec import Meta, Struct

from iii_engine.core.clock import Clock
from iii_engine.core.meters import Distribution
from iii_engine.modules.observability.metrics.series import SeriesTable
from iii_engine.modules.observability.metrics.statistics import Aggregate
from iii_engine.modules.observability.metrics.store import MetricStore
from iii_engine.modules.observability.rollups.level import Bucket, Level
from iii_engine.modules.observability.rollups.store import RollupStore
from iii_engine.modules.observability.times import TooLarge, nanoseconds

#: What is asked for without a time, in milliseconds.
LAST_HOUR_MS: Final = 3_600_000


class RollupsQuery(Struct):
    """Times in milliseconds since the epoch; without them the last hour."""

    start_time: int | float | None = None
    end_time: int | float | None = None
    level: Annotated[int, Meta(ge=0, le=2)] | None = None
    metric_name: str | None = None


class HistogramRollup(Struct):
    """`min` and `max` are null where they are not known."""

    name: str
    bucket_start_ns: int
    bucket_end_ns: int
    total_count: int
    total_sum: float
    min: float | None
    max: float | None
    bucket_counts: list[int]
    explicit_bounds: list[float]


class RollupsListing(Struct, omit_defaults=True):
    """`query` repeats what was asked, with the times in force."""

    rollups: list[Aggregate]
    histogram_rollups: list[HistogramRollup]
    level: int
    query: RollupsQuery
    timestamp: int
    source: str | None = None


class AbsurdRollups(Struct):
    """A time that does not fit into 64 bits of nanoseconds."""

    error: str
    rollups: list[Aggregate] = []
    histogram_rollups: list[HistogramRollup] = []


def list_rollups(
    clock: Clock, rollups: RollupStore, metrics: MetricStore, query: RollupsQuery
) -> RollupsListing | AbsurdRollups:
    """The buckets of a level that overlap the time asked for.

    Where the level holds nothing of it (any more), they are made of the reports still stored.
    """
    now_ms = clock.now_ns() // 1_000_000
    end_time = now_ms if query.end_time is None else query.end_time
    start_time = end_time - LAST_HOUR_MS if query.start_time is None else query.start_time
    try:
        end = nanoseconds(end_time, "end_time") or 0
        start = nanoseconds(start_time, "start_time") or 0
    except TooLarge as error:
        return AbsurdRollups(str(error))
    number = query.level or 0
    level = rollups.levels[number]
    name = query.metric_name
    buckets, source = list(level.find(start, end, name)), None
    if not buckets:
        buckets = list(_made_now(level, metrics, name).find(start, end, name))
        source = "on_the_fly" if buckets else None
    return RollupsListing(
        [
            bucket.summary.aggregate(bucket.name, bucket.start_ns, level.resolution.length_ns)
            for bucket in buckets
            if not isinstance(bucket.summary, Distribution)
        ],
        list(_histograms(buckets)),
        number,
        RollupsQuery(start_time, end_time, number, name),
        now_ms,
        source,
    )


def _made_now(level: Level, metrics: MetricStore, name: str | None) -> Level:
    """A level of the same resolution, of everything that is stored."""
    made, series = Level(level.resolution), SeriesTable()
    for metric in metrics.find(name):
        for change in series.take(metric):
            made.add(change.name, change.value, change.time_ns)
    return made


def _histograms(buckets: Iterable[Bucket]) -> Iterable[HistogramRollup]:
    for name, start, end, summary in buckets:
        if isinstance(summary, Distribution):
            yield HistogramRollup(
                name,
                start,
                end,
                summary.total,
                summary.sum,
                summary.min,
                summary.max,
                list(summary.counts),
                list(summary.bounds),
            )
