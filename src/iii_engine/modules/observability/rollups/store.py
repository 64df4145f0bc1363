"""All levels, filled together."""

from __future__ import annotations

from collections.abc import Sequence

from iii_engine.core.clock import Clock
from iii_engine.core.meters import Distribution, Meters, Reading
from iii_engine.modules.observability.metrics.distributions import added, grown
from iii_engine.modules.observability.metrics.series import Change
from iii_engine.modules.observability.rollups.level import MAX_BUCKETS, RESOLUTIONS, Level


class RollupStore:
    """What workers report is added as it comes; the engine's instruments are read now and then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.levels = tuple(Level(resolution) for resolution in RESOLUTIONS)
        self._totals: dict[str, float] = {}
        self._spreads: dict[str, Distribution] = {}

    def take(self, changes: Sequence[Change]) -> None:
        """Points of the future count as of now: a worker's clock may be wrong."""
        now = self._clock.now_ns()
        for change in changes:
            self._add(change.name, change.value, min(change.time_ns, now))
        if any(len(level) > MAX_BUCKETS for level in self.levels):
            self.clean()

    def sample(self, meters: Meters) -> None:
        """Read counters and gauges: what the ones grew by, what the others are."""
        for reading in meters.collect("counter", "gauge", "updowncounter"):
            values = [value for _, value in reading.points if not isinstance(value, Distribution)]
            if reading.kind == "counter":
                total = sum(values)
                values = [total - self._totals.get(reading.name, 0)]
                self._totals[reading.name] = total
            for value in values:
                self._add(reading.name, value, self._clock.now_ns())

    def sample_histograms(self, meters: Meters) -> None:
        """Read histograms: what came since the last time."""
        for reading in meters.collect("histogram"):
            whole = _whole(reading)
            if whole is not None:
                new = grown(self._spreads.get(reading.name), whole)
                self._spreads[reading.name] = whole
                if new.total:
                    self._add(reading.name, new, self._clock.now_ns())

    def clean(self) -> None:
        for level in self.levels:
            level.clean(self._clock.now_ns())

    def _add(self, name: str, value: float | Distribution, time_ns: int) -> None:
        for level in self.levels:
            level.add(name, value, time_ns)


def _whole(reading: Reading) -> Distribution | None:
    """All series of a histogram together."""
    whole: Distribution | None = None
    for _, value in reading.points:
        if isinstance(value, Distribution):
            whole = value if whole is None else added(whole, value)
    return whole
