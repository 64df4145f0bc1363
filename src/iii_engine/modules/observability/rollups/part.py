"""Rollups as a part of the module."""

from __future__ import annotations

from typing import Final

from iii_engine.core.timers import Timer
from iii_engine.modules.observability.part import Part
from iii_engine.modules.observability.rollups.listing import (
    RollupsListing,
    RollupsQuery,
    list_rollups,
)
from iii_engine.modules.observability.rollups.store import RollupStore

#: How often the engine's counters and gauges are read, in seconds.
SAMPLE_SECONDS: Final = 10
#: Of these times, when histograms are read too and what is too old is dropped.
EVERY: Final = 6


class RollupsPart(Part):
    """Fills the levels and lists them."""

    async def start(self) -> None:
        self._engine = self.module.engine
        self._store = RollupStore(self._engine.clock)
        self._samples = 0
        self._timer = self._wait()
        self.telemetry.metrics.watchers.append(self._store.take)
        self.browse(
            "engine::rollups::list",
            RollupsQuery,
            lambda query: list_rollups(
                self._engine.clock, self._store, self.telemetry.metrics, query
            ),
            description="Metrics summed up by minute, five minutes or hour",
            response=RollupsListing,
        )

    async def stop(self) -> None:
        self._timer.cancel()
        self.telemetry.metrics.watchers.remove(self._store.take)

    def _wait(self) -> Timer:
        return self._engine.timers.after(SAMPLE_SECONDS, self._sample)

    def _sample(self) -> None:
        if self.telemetry.settings.metrics_enabled:
            self._store.sample(self._engine.meters)
        self._samples += 1
        if self._samples % EVERY == 0:
            self._store.clean()
            if self.telemetry.settings.metrics_enabled:
                self._store.sample_histograms(self._engine.meters)
        self._timer = self._wait()
