"""The engine's own instruments: what the core counts anyway, under the names of the contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from iii_engine.core.engine import Engine
from iii_engine.core.meters import MAX_SERIES, OVERFLOW, Kind, Labels, Observation, Point
from iii_engine.core.tally import Tally, distribution
from iii_engine.core.vitals import Vitals

#: Gauges about the processes of workers, and the fields of their vitals that they show.
PROCESS_GAUGES: Final = (
    ("iii.worker.memory.heap.bytes", "memory_heap_used", "By"),
    ("iii.worker.memory.rss.bytes", "memory_rss", "By"),
    ("iii.worker.cpu.percent", "cpu_percent", "%"),
    ("iii.worker.event_loop.lag.ms", "event_loop_lag_ms", "ms"),
    ("iii.worker.uptime.seconds", "uptime_seconds", "s"),
)


class EngineInstruments:
    """Observes the core until `end`. Nothing is counted here: it costs when somebody looks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        counters = engine.router.counters
        total = self._total
        self._observations = [
            total("iii.invocations.total", lambda: counters.total, "Function invocations"),
            total("iii.invocations.error", lambda: counters.errors, "Failed invocations"),
            total("iii.invocation.errors.total", lambda: counters.errors, "Failed invocations"),
            total("iii.invocations.deferred", lambda: counters.deferred, "Handed to a queue"),
            total("iii.invocations.overloaded", lambda: counters.overloaded, "Refused: no room"),
            total("iii.workers.spawns.total", lambda: engine.connected, "Workers that connected"),
            total(
                "iii.workers.deaths.total",
                lambda: engine.connected - len(engine.sessions),
                "Workers that are gone",
            ),
            total("iii.triggers.dropped", lambda: counters.dropped_events, "Events dropped"),
            self._observe(
                "iii.invocation.duration",
                lambda: self._durations(1),
                ("function_id",),
                kind="histogram",
                unit="s",
                description="How long invocations took",
            ),
            self._observe(
                "function_call_duration_ms",
                lambda: self._durations(1000),
                ("function_id",),
                kind="histogram",
                unit="ms",
                description="The same in milliseconds",
            ),
            self._observe(
                "iii.workers.active",
                lambda: [((), float(len(engine.sessions)))],
                description="Workers that are connected",
            ),
            self._observe(
                "iii.workers.by_status",
                self._statuses,
                ("status",),
                description="Connected workers by status",
            ),
            *(self._process(name, field, unit) for name, field, unit in PROCESS_GAUGES),
        ]

    def end(self) -> None:
        for observation in self._observations:
            observation.end()

    def _observe(
        self,
        name: str,
        observer: Callable[[], Iterable[Point]],
        labels: Labels = (),
        *,
        kind: Kind = "gauge",
        unit: str = "",
        description: str,
    ) -> Observation:
        return self._engine.meters.observe(
            name, observer, labels, kind=kind, unit=unit, description=description
        )

    def _total(self, name: str, read: Callable[[], int], description: str) -> Observation:
        return self._observe(
            name, lambda: [((), float(read()))], kind="counter", description=description
        )

    def _durations(self, per_second: int) -> Iterator[Point]:
        """Of each function; of those beyond the limit together."""
        called = (
            (name, tally) for name, tally in self._engine.registry.tallies if any(tally.durations)
        )
        for name, tally in islice(called, MAX_SERIES - 1):
            yield (name,), distribution([tally], per_second)
        rest: list[Tally] = [tally for _, tally in called]
        if rest:
            yield (OVERFLOW,), distribution(rest, per_second)

    def _statuses(self) -> Iterator[Point]:
        statuses = Counter(
            "busy" if session.active else session.status.value
            for session in self._engine.sessions.values()
        )
        for status, count in statuses.items():
            yield (status,), float(count)

    def _process(self, name: str, field: str, unit: str) -> Observation:
        def values() -> Iterator[Point]:
            now_ms = self._engine.clock.now_ns() // 1_000_000
            for session in self._engine.sessions.values():
                vitals = session.vitals
                if vitals is not None and vitals.recent(now_ms):
                    value = _field(vitals, field)
                    if value is not None:
                        yield (session.id, session.name), value

        return self._observe(
            name,
            values,
            ("worker.id", "worker.name"),
            unit=unit,
            description="As the worker reports it",
        )


def _field(vitals: Vitals, name: str) -> float | None:
    value: float | None = getattr(vitals, name)
    return value
