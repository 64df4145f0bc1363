"""`engine::rollups::list`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.json import encode

from iii_engine.core.clock import Clock
from iii_engine.core.meters import Distribution
from iii_engine.core.turns import Pieces
from iii_engine.modules.observability.metrics.series import SeriesTable
from iii_engine.modules.observability.metrics.statistics import POINTS, Aggregate, Statistics
from iii_engine.modules.observability.metrics.store import MetricStore
from iii_engine.modules.observability.rollups.level import Bucket, Level
from iii_engine.modules.observability.rollups.store import RollupStore
from iii_engine.modules.observability.times import TooLarge, nanoseconds
from iii_engine.modules.pieces import array

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
    """Schema of the answer; `query` repeats what was asked, with the times in force."""

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


class Ending(Struct, omit_defaults=True):
    """What follows the lists."""

    level: int
    query: RollupsQuery
    timestamp: int
    source: str | None = None


def list_rollups(
    clock: Clock, rollups: RollupStore, metrics: MetricStore, query: RollupsQuery
) -> Pieces[bytes]:
    """The buckets of a level that overlap the time asked for: `RollupsListing` as JSON.

    Where the level holds nothing of it (any more), they are made of the reports still stored.
    """
    now_ms = clock.now_ns() // 1_000_000
    end_time = now_ms if query.end_time is None else query.end_time
    start_time = end_time - LAST_HOUR_MS if query.start_time is None else query.start_time
    try:
        end = nanoseconds(end_time, "end_time") or 0
        start = nanoseconds(start_time, "start_time") or 0
    except TooLarge as error:
        return encode(AbsurdRollups(str(error)))
    number = query.level or 0
    level = rollups.levels[number]
    name = query.metric_name
    buckets, source = (yield from _all(level.find(start, end, name))), None
    if not buckets:
        made = yield from _made_now(level, metrics, name)
        buckets = yield from _all(made.find(start, end, name))
        source = "on_the_fly" if buckets else None
    asked = RollupsQuery(start_time, end_time, number, name)
    ending = encode(Ending(number, asked, now_ms, source))
    numbers = (encode(_number(b, level)) for b in buckets if isinstance(b.summary, Statistics))
    spreads = (encode(_spread(b)) for b in buckets if isinstance(b.summary, Distribution))
    head = yield from array(numbers, head=b'{"rollups":[', tail=b'],"histogram_rollups":[')
    answer = yield from array(spreads, head=head, tail=b"],%b" % ending[1:])
    return answer


def _all(buckets: Iterable[Bucket | None]) -> Pieces[list[Bucket]]:
    found: list[Bucket] = []
    for bucket in buckets:
        if bucket is None:
            yield
        else:
            found.append(bucket)
    return found


def _made_now(level: Level, metrics: MetricStore, name: str | None) -> Pieces[Level]:
    """A level of the same resolution, of everything that is stored."""
    made, series = Level(level.resolution), SeriesTable()
    points = 0
    for metric in list(metrics.find(name)):
        for change in series.take(metric):
            made.add(change.name, change.value, change.time_ns)
        points += len(metric.data_points)
        if points >= POINTS:
            points = 0
            yield
    return made


def _number(bucket: Bucket, level: Level) -> Aggregate:
    assert isinstance(bucket.summary, Statistics)
    return bucket.summary.aggregate(bucket.name, bucket.start_ns, level.resolution.length_ns)


def _spread(bucket: Bucket) -> HistogramRollup:
    summary = bucket.summary
    assert isinstance(summary, Distribution)
    return HistogramRollup(
        bucket.name,
        bucket.start_ns,
        bucket.end_ns,
        summary.total,
        summary.sum,
        summary.min,
        summary.max,
        list(summary.counts),
        list(summary.bounds),
    )
