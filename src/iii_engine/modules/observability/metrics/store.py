"""The metrics that workers reported, for as long as they are kept."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from iii_engine.core.clock import Clock
from iii_engine.modules.observability.metrics.metric import Metric
from iii_engine.modules.observability.metrics.series import Change, SeriesTable
from iii_engine.modules.observability.settings import Settings

log = logging.getLogger("iii.observability")

MetricListener: TypeAlias = Callable[[Sequence[Metric]], None]
Watcher: TypeAlias = Callable[[Sequence[Change]], None]

#: Names that are kept at the same time; metrics of further ones are dropped.
MAX_NAMES: Final = 10_000
#: Data points of all reports together; beyond it the oldest reports go.
MAX_POINTS: Final = 200_000


class MetricStore:
    """Every report for itself, oldest first; who listens gets each when it arrives."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reports: deque[Metric] = deque()
        self._names: Counter[str] = Counter()
        self._points = 0
        self._warned = False
        self._enabled = True
        self._max_count = 0
        self._retention_ns = 0
        self.series = SeriesTable()
        #: Called with the reports that were just received.
        self.listeners: list[MetricListener] = []
        #: Called with what is new in them.
        self.watchers: list[Watcher] = []

    def use(self, settings: Settings) -> None:
        """Take the limits of these settings."""
        self._enabled = settings.metrics_enabled
        self._max_count = settings.metrics_max_count
        self._retention_ns = settings.metrics_retention_seconds * 1_000_000_000
        self._shrink()

    def take(self, metrics: Sequence[Metric]) -> None:
        """Store a report. Without `metrics_enabled` it is dropped."""
        if not self._enabled:
            return
        self.forget_old()
        kept: list[Metric] = []
        changes: list[Change] = []
        for metric in metrics:
            if not self._knows(metric.name):
                continue
            kept.append(metric)
            self._reports.append(metric)
            self._names[metric.name] += 1
            self._points += len(metric.data_points)
            changes += self.series.take(metric)
        self._shrink()
        for listener in self.listeners:
            listener(kept)
        for watcher in self.watchers:
            watcher(changes)

    def find(
        self, name: str | None = None, start_ns: int = 0, end_ns: int | None = None
    ) -> Iterator[Metric]:
        """Reports that were received in this time, both ends included; oldest first."""
        self.forget_old()
        for metric in self._reports:
            received = metric.timestamp_unix_nano
            if (
                received >= start_ns
                and (end_ns is None or received <= end_ns)
                and (name is None or metric.name == name)
            ):
                yield metric

    def forget_old(self) -> None:
        """Drop what is older than the retention."""
        oldest = self._clock.now_ns() - self._retention_ns
        while self._reports and self._reports[0].timestamp_unix_nano < oldest:
            self._drop_first()
        self.series.forget(oldest)

    def __len__(self) -> int:
        return len(self._reports)

    def _knows(self, name: str) -> bool:
        if name in self._names or len(self._names) < MAX_NAMES:
            return True
        if not self._warned:
            self._warned = True
            log.warning("metrics of more than %d names: %r and others are dropped", MAX_NAMES, name)
        return False

    def _shrink(self) -> None:
        while len(self._reports) > self._max_count or self._points > MAX_POINTS:
            self._drop_first()

    def _drop_first(self) -> None:
        metric = self._reports.popleft()
        self._points -= len(metric.data_points)
        self._names[metric.name] -= 1
        if not self._names[metric.name]:
            del self._names[metric.name]
