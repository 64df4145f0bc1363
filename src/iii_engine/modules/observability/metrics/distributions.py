"""Arithmetic with distributions: what reports of a histogram add up to."""

from __future__ import annotations

from collections.abc import Callable

from iii_engine.core.meters import Distribution
from iii_engine.modules.observability.metrics.metric import HistogramPoint


def of_point(point: HistogramPoint) -> Distribution:
    return Distribution(
        point.count,
        point.sum,
        tuple(point.bucket_counts),
        tuple(point.explicit_bounds),
        point.min,
        point.max,
    )


def added(one: Distribution, more: Distribution) -> Distribution:
    """Both together. Bounds that changed begin anew: buckets of different sizes do not add up."""
    if one.bounds != more.bounds or len(one.counts) != len(more.counts):
        return more
    return Distribution(
        one.total + more.total,
        one.sum + more.sum,
        tuple(a + b for a, b in zip(one.counts, more.counts, strict=True)),
        one.bounds,
        _of_both(min, one.min, more.min),
        _of_both(max, one.max, more.max),
    )


def grown(before: Distribution | None, now: Distribution) -> Distribution:
    """What came between two totals; all of `now` when its worker began anew meanwhile.

    Its extremes are unknown where `before` has something: those of `now` may be older.
    """
    if before is None or before.bounds != now.bounds or len(before.counts) != len(now.counts):
        return now
    counts = tuple(b - a for a, b in zip(before.counts, now.counts, strict=True))
    if now.total < before.total or any(count < 0 for count in counts):
        return now
    return Distribution(now.total - before.total, now.sum - before.sum, counts, now.bounds)


def _of_both(
    pick: Callable[[list[float]], float], one: float | None, other: float | None
) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return pick(known) if known else None
