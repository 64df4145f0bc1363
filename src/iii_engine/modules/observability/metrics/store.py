"""The metrics that were received."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from iii_engine.core.clock import Clock
from iii_engine.modules.observability.metrics.metric import Metric
from iii_engine.modules.observability.settings import Settings

MetricListener: TypeAlias = Callable[[Sequence[Metric]], None]


class MetricStore:
    """Who listens gets each report when it arrives."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Rollups and exporters; called with what was just received.
        self.listeners: list[MetricListener] = []

    def use(self, settings: Settings) -> None:
        """Take the limits of these settings."""

    def take(self, metrics: Sequence[Metric]) -> None:
        """Store a report."""
        for listener in self.listeners:
            listener(metrics)
