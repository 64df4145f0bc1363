"""The newest log records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from iii_engine.core.clock import Clock
from iii_engine.core.sampling import kept
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.settings import Settings

LogListener: TypeAlias = Callable[[Sequence[LogRecord]], None]


class LogStore:
    """Holds at most `logs_max_count` records; who listens gets each batch when it is stored."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: deque[LogRecord] = deque()
        self._enabled = True
        self._ratio = 1.0
        self._share = 0.0
        self._retention_ns = 0
        #: Exporters and the trigger type `log`; called with what was just stored.
        self.listeners: list[LogListener] = []

    def use(self, settings: Settings) -> None:
        """Take the limits of these settings."""
        self._enabled = settings.logs_enabled
        self._ratio = settings.logs_sampling_ratio
        self._retention_ns = settings.logs_retention_seconds * 1_000_000_000
        self._records = deque(self._records, maxlen=settings.logs_max_count)
        if not self._enabled:
            self._records.clear()

    def take(self, records: Sequence[LogRecord]) -> None:
        """Store a batch, or what sampling leaves of it; nothing without `logs_enabled`."""
        if not self._enabled:
            return
        if self._ratio < 1:
            records = [record for record in records if self._sampled(record)]
        self._records.extend(records)
        if records:
            for listener in self.listeners:
                listener(records)

    def _sampled(self, record: LogRecord) -> bool:
        """Records of a trace have the same lot; of the others every so many-th is kept."""
        if record.trace_id is not None and len(record.trace_id) == 32:
            try:
                return kept(record.trace_id, self._ratio)
            except ValueError:
                pass  # an id of another form
        self._share += self._ratio
        if self._share < 1:
            return False
        self._share -= 1
        return True

    def __iter__(self) -> Iterator[LogRecord]:
        """In the order of arrival."""
        self.forget_old()
        return iter(self._records)

    def forget_old(self) -> None:
        """Drop what is older than the retention."""
        oldest = self._clock.now_ns() - self._retention_ns
        if any(record.effective_ns < oldest for record in self._records):
            recent = [record for record in self._records if record.effective_ns >= oldest]
            self._records = deque(recent, maxlen=self._records.maxlen)

    def clear(self) -> None:
        self._records.clear()

    def __len__(self) -> int:
        return len(self._records)
