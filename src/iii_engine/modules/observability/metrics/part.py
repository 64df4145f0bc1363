"""Metrics as a part of the module: instruments of the engine, reports of workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from iii_engine.core.timers import Timer
from iii_engine.core.vitals import PREFIX, Vitals
from iii_engine.modules.component import DISABLED, Component
from iii_engine.modules.observability.metrics.instruments import EngineInstruments
from iii_engine.modules.observability.metrics.listing import MetricsQuery, list_metrics
from iii_engine.modules.observability.metrics.metric import Metric, NumberPoint
from iii_engine.modules.observability.part import Part

#: How often what is too old is dropped, in seconds.
CLEAN_SECONDS: Final = 60


class MetricsPart(Part):
    """Keeps what workers report, and tells each worker's row how its process is."""

    async def start(self) -> None:
        self._engine = self.module.engine
        self._store = self.telemetry.metrics
        self._store.listeners.append(self._note_vitals)
        self._instruments = EngineInstruments(self._engine)
        self._timer: Timer
        self._clean()
        self.browse(
            "engine::metrics::list",
            MetricsQuery,
            lambda query: list_metrics(self._engine, self.telemetry.spans, self._store, query),
            description="Totals and durations of invocations, and the metrics of workers",
        )

    async def stop(self) -> None:
        self._timer.cancel()
        self._instruments.end()
        self._store.listeners.remove(self._note_vitals)

    def components(self) -> dict[str, Component]:
        if not self.telemetry.settings.metrics_enabled:
            return {"metrics": DISABLED}
        return {"metrics": Component("healthy", {"stored_metrics": len(self._store)})}

    def _clean(self) -> None:
        self._store.forget_old()
        self._timer = self._engine.timers.after(CLEAN_SECONDS, self._clean)

    def _note_vitals(self, metrics: Sequence[Metric]) -> None:
        """Gauges about a worker's process go to the session that they name."""
        for metric in metrics:
            if metric.name.startswith(PREFIX):
                for point in metric.data_points:
                    if isinstance(point, NumberPoint):
                        self._note(metric, point)

    def _note(self, metric: Metric, point: NumberPoint) -> None:
        session = self._engine.sessions.get(dict(point.attributes).get("worker.id", ""))
        if session is None:
            return
        now_ms = metric.timestamp_unix_nano // 1_000_000
        if session.vitals is None:
            session.vitals = Vitals(now_ms, session.metadata.runtime or "unknown")
        session.vitals.note(metric.name, point.value, now_ms)
