"""`engine::metrics::list`."""

from __future__ import annotations

from msgspec import Struct
from msgspec.json import encode

from iii_engine.core.engine import Engine
from iii_engine.core.tracing import SpanRing
from iii_engine.core.turns import Pieces
from iii_engine.modules.observability.metrics.metric import Metric
from iii_engine.modules.observability.metrics.statistics import Aggregate, aggregates, percentile
from iii_engine.modules.observability.metrics.store import MetricStore
from iii_engine.modules.observability.spans.gathering import kept
from iii_engine.modules.observability.times import TooLarge, nanoseconds
from iii_engine.modules.pieces import array
from iii_engine.modules.sorting import Values


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


class Ending(Struct, omit_defaults=True):
    """What follows the metrics. `query` repeats what was asked when it was about times."""

    timestamp: int
    query: MetricsQuery | None = None


class Absurd(Struct):
    """A time that does not fit into 64 bits of nanoseconds."""

    error: str
    sdk_metrics: list[Metric] = []
    aggregated_metrics: list[Aggregate] = []


def list_metrics(
    engine: Engine, spans: SpanRing, store: MetricStore, query: MetricsQuery
) -> Pieces[bytes]:
    """The totals of the engine, and what workers reported within the time asked for, as JSON."""
    try:
        start = nanoseconds(query.start_time, "start_time")
        end = nanoseconds(query.end_time, "end_time")
        interval = nanoseconds(query.aggregate_interval, "aggregate_interval", 1_000_000_000)
    except TooLarge as error:
        return encode(Absurd(str(error)))
    metrics = list(store.find(query.metric_name, start or 0, end))
    took = yield from performance(spans)
    about_times = any(
        value is not None for value in (query.start_time, query.end_time, query.aggregate_interval)
    )
    ending = Ending(engine.clock.now_ns() // 1_000_000, query if about_times else None)
    answer = yield from array(
        map(encode, metrics),
        head=b'{"engine_metrics":%b,"sdk_metrics":[' % encode(engine_metrics(engine, took)),
        tail=b"],%b" % encode(ending)[1:],
    )
    if interval and start is not None and end is not None:
        answer = yield from _with_aggregates(answer, metrics, interval)
    return answer


def _with_aggregates(answer: bytes, metrics: list[Metric], interval_ns: int) -> Pieces[bytes]:
    """The same answer; unless there are none, with what the metrics add up to."""
    rows = (None if row is None else encode(row) for row in aggregates(metrics, interval_ns))
    head = b'%b,"aggregated_metrics":[' % answer[:-1]
    found = yield from array(rows, head=head, tail=b"]}")
    return answer if len(found) == len(head) + 2 else found


def engine_metrics(engine: Engine, took: Performance) -> EngineMetrics:
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
        took,
    )


def performance(ring: SpanRing) -> Pieces[Performance]:
    """Of the spans that are there now."""
    found = yield from kept(ring)
    values = Values()
    for span in found.spans():
        if span is None:
            yield
        else:
            values.add((span.end_ns - span.start_ns) / 1e6)
    took = values.ascending()
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
