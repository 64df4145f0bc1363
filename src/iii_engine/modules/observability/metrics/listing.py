"""`engine::metrics::list`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from iii_engine.core.engine import Engine
from iii_engine.modules.observability.metrics.metric import Metric
from iii_engine.modules.observability.metrics.statistics import Aggregate, aggregates, percentile
from iii_engine.modules.observability.metrics.store import MetricStore
from iii_engine.modules.observability.times import TooLarge, nanoseconds


class Timed(Protocol):
    """A span, as far as it matters here."""

    @property
    def start_ns(self) -> int: ...

    @property
    def end_ns(self) -> int: ...


class MetricsQuery(Struct):
    """Times in milliseconds since the epoch, the interval in seconds."""

    start_time: int | float | None = None
    end_time: int | float | None = None
    metric_name: str | None = None
    aggregate_interval: int | float | None = None


class Invocations(Struct):
    total: int
    success: int
    error: int
    deferred: int
    by_function: dict[str, int]


class Workers(Struct):
    spawns: int
    deaths: int
    active: int


class Performance(Struct):
    """Over the spans that are stored; zeros when there are none."""

    avg_duration_ms: float = 0.0
    p50_duration_ms: float = 0.0
    p95_duration_ms: float = 0.0
    p99_duration_ms: float = 0.0
    min_duration_ms: float = 0.0
    max_duration_ms: float = 0.0


class EngineMetrics(Struct):
    invocations: Invocations
    workers: Workers
    performance: Performance


class MetricsListing(Struct, omit_defaults=True):
    """`query` repeats what was asked when it was about times."""

    engine_metrics: EngineMetrics
    sdk_metrics: list[Metric]
    timestamp: int
    aggregated_metrics: list[Aggregate] | None = None
    query: MetricsQuery | None = None


class Absurd(Struct):
    """A time that does not fit into 64 bits of nanoseconds."""

    error: str
    sdk_metrics: list[Metric] = []
    aggregated_metrics: list[Aggregate] = []


def list_metrics(
    engine: Engine, spans: Iterable[Timed], store: MetricStore, query: MetricsQuery
) -> MetricsListing | Absurd:
    """The totals of the engine, and what workers reported within the time asked for."""
    try:
        start = nanoseconds(query.start_time, "start_time")
        end = nanoseconds(query.end_time, "end_time")
        interval = nanoseconds(query.aggregate_interval, "aggregate_interval", 1_000_000_000)
    except TooLarge as error:
        return Absurd(str(error))
    metrics = list(store.find(query.metric_name, start or 0, end))
    listing = MetricsListing(
        engine_metrics(engine, spans), metrics, engine.clock.now_ns() // 1_000_000
    )
    if any(v is not None for v in (query.start_time, query.end_time, query.aggregate_interval)):
        listing.query = query
    if interval and start is not None and end is not None:
        listing.aggregated_metrics = aggregates(metrics, interval) or None
    return listing


def engine_metrics(engine: Engine, spans: Iterable[Timed]) -> EngineMetrics:
    counters = engine.router.counters
    calls = {name: tally.calls for name, tally in engine.registry.tallies}
    active = len(engine.sessions)
    return EngineMetrics(
        Invocations(
            counters.total,
            counters.total - counters.errors,
            counters.errors,
            counters.deferred,
            {name: count for name, count in calls.items() if count},
        ),
        Workers(engine.connected, engine.connected - active, active),
        performance(spans),
    )


def performance(spans: Iterable[Timed]) -> Performance:
    took = sorted((span.end_ns - span.start_ns) / 1e6 for span in spans)
    if not took:
        return Performance()
    return Performance(
        sum(took) / len(took),
        percentile(took, 0.5),
        percentile(took, 0.95),
        percentile(took, 0.99),
        took[0],
        took[-1],
    )
