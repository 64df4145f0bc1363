"""The newest log records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.settings import Settings

LogListener: TypeAlias = Callable[[Sequence[LogRecord]], None]


class LogStore:
    """Holds at most `logs_max_count` records; who listens gets each batch when it is stored."""

    def __init__(self) -> None:
        self.records: deque[LogRecord] = deque()
        #: Exporters and the trigger type `log`; called with what was just stored.
        self.listeners: list[LogListener] = []

    def use(self, settings: Settings) -> None:
        """Take the limits of these settings."""
        self.records = deque(self.records, maxlen=settings.logs_max_count)

    def take(self, records: Sequence[LogRecord]) -> None:
        """Store a batch."""
        self.records.extend(records)
        for listener in self.listeners:
            listener(records)

    def clear(self) -> None:
        self.records.clear()

    def __len__(self) -> int:
        return len(self.records)
