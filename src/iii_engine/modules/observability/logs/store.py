"""The newest log records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from iii_engine.core.clock import Clock
from iii_engine.core.sampling import kept
from iii_engine.core.sizes import MIB
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.settings import Settings

LogListener: TypeAlias = Callable[[Sequence[LogRecord]], None]

#: Bytes of one record as JSON, and of all. A larger one is cut, and of too many the oldest go.
MAX_RECORD: Final = 256 * 1024
MAX_BYTES: Final = 64 * MIB
#: Records that are dropped in one go when they are old.
DROPPED: Final = 10_000
#: Characters that are left of the text of a record that is cut, and of its names.
CUT_TEXT: Final = 64 * 1024
CUT_NAME: Final = 256


class LogStore:
    """Holds at most `logs_max_count` records; who listens gets each batch when it is stored."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: deque[LogRecord] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._max_count = 0
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
        self._max_count = settings.logs_max_count
        self._shrink()
        if not self._enabled:
            self.clear()

    def take(self, records: Sequence[LogRecord]) -> None:
        """Store a batch, or what sampling leaves of it; nothing without `logs_enabled`."""
        if not self._enabled:
            return
        if self._ratio < 1:
            records = [record for record in records if self._sampled(record)]
        for record in records:
            self._add(record)
        self._shrink()
        if records:
            for listener in self.listeners:
                listener(records)

    def _add(self, record: LogRecord) -> None:
        size = len(msgspec.json.encode(record))
        if size > MAX_RECORD:
            record.body = record.body[:CUT_TEXT]
            record.attributes = {"iii.log.cut_bytes": size}
            record.service_name = record.service_name[:CUT_NAME]
            record.trace_id = record.trace_id and record.trace_id[:CUT_NAME]
            record.span_id = record.span_id and record.span_id[:CUT_NAME]
            size = min(size, MAX_RECORD)
        self._records.append(record)
        self._sizes.append(size)
        self._bytes += size

    def _shrink(self) -> None:
        while len(self._records) > self._max_count or self._bytes > MAX_BYTES:
            self._drop_first()

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
        """Those within the retention, in the order of arrival."""
        return (record for record in list(self._records) if self.recent(record))

    def newest_first(self) -> Iterator[LogRecord]:
        """All that are here now, the last to arrive first, whether `recent` or not."""
        return reversed(list(self._records))

    def recent(self, record: LogRecord) -> bool:
        """Whether it is within the retention."""
        return record.effective_ns >= self._clock.now_ns() - self._retention_ns

    def forget_old(self) -> bool:
        """Drop some of what is older than the retention; whether that was all.

        One that arrived late is only dropped with those before it.
        """
        for _ in range(DROPPED):
            if not self._records or self.recent(self._records[0]):
                return True
            self._drop_first()
        return False

    def _drop_first(self) -> None:
        self._records.popleft()
        self._bytes -= self._sizes.popleft()

    def clear(self) -> None:
        self._records.clear()
        self._sizes.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._records)
