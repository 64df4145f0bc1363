"""The value of a rule: from the engine's counters, its instruments, or workers' metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iii_engine.core.alerts import Growth, Window
from iii_engine.core.engine import Engine
from iii_engine.core.meters import Distribution, Reading
from iii_engine.modules.observability.metrics.series import Change


class Value:
    """What one rule compares, over its window. Counters count what they grew by, so that an alert
    ends when its cause has; gauges count on average."""

    def __init__(self, engine: Engine, metric: str, window_ns: int) -> None:
        self._engine = engine
        self._metric = metric
        self._total = _totals(engine).get(metric)
        self._samples = Window(window_ns)
        self._reported = Window(window_ns)
        self._adds = False
        self._now_ns = engine.clock.monotonic_ns
        self._growth = Growth(window_ns, self._counted(), self._now_ns())

    def take(self, changes: Sequence[Change]) -> None:
        """What workers report."""
        for change in changes:
            if change.name == self._metric:
                value = change.value
                self._adds = change.kind == "counter"
                if isinstance(value, Distribution):
                    if not value.total:
                        continue
                    value = value.sum / value.total
                self._reported.add(value, self._now_ns())

    def now(self) -> float | None:
        """None when nothing is known of the metric within the window."""
        now_ns = self._now_ns()
        if self._metric == "iii.workers.active":
            return float(len(self._engine.sessions))
        if self._total is not None:
            return self._growth.increase(self._total(), now_ns)
        reading = self._engine.meters.reading(self._metric)
        if reading is None:
            return self._reported.sum(now_ns) if self._adds else self._reported.average(now_ns)
        if reading.kind == "counter":
            return self._growth.increase(sum(_numbers(reading)), now_ns)
        for number in _numbers(reading):
            self._samples.add(number, now_ns)
        return self._samples.average(now_ns)

    def _counted(self) -> float:
        """What a counter has when the rule begins; one that appears later begins at zero."""
        if self._total is not None:
            return self._total()
        reading = self._engine.meters.reading(self._metric)
        return sum(_numbers(reading)) if reading is not None and reading.kind == "counter" else 0


def _numbers(reading: Reading) -> list[float]:
    return [value for _, value in reading.points if not isinstance(value, Distribution)]


def _totals(engine: Engine) -> dict[str, Callable[[], float]]:
    """The counters of the engine that rules may name, also those that are no instruments."""
    counters = engine.router.counters
    return {
        "iii.invocations.total": lambda: counters.total,
        "iii.invocations.success": lambda: counters.total - counters.errors,
        "iii.invocations.error": lambda: counters.errors,
        "iii.invocations.deferred": lambda: counters.deferred,
        "iii.workers.spawns": lambda: engine.connected,
        "iii.workers.deaths": lambda: engine.connected - len(engine.sessions),
    }
