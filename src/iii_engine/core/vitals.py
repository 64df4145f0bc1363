"""How a worker is, by the gauges that it reports about its process."""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

#: Begins the names of these gauges; `iii.worker.memory.rss` becomes `memory_rss`.
PREFIX: Final = "iii.worker."
#: What was reported longer ago says nothing about now, in milliseconds.
STALE_MS: Final = 120_000


class Vitals(Struct, omit_defaults=True):
    """The newest value of each gauge; sizes in bytes. `timestamp_ms` is when one came last."""

    timestamp_ms: int
    runtime: str
    memory_heap_used: int | None = None
    memory_heap_total: int | None = None
    memory_rss: int | None = None
    memory_external: int | None = None
    cpu_user_micros: int | None = None
    cpu_system_micros: int | None = None
    cpu_percent: float | None = None
    event_loop_lag_ms: float | None = None
    uptime_seconds: int | None = None

    def note(self, gauge: str, value: float, now_ms: int) -> None:
        """Take a value; gauges of other names are nobody's concern."""
        field = gauge.removeprefix(PREFIX).replace(".", "_")
        if field in GAUGES and math.isfinite(value):
            setattr(self, field, value if field in _FRACTIONS else int(value))
            self.timestamp_ms = now_ms

    def recent(self, now_ms: int) -> bool:
        return now_ms - self.timestamp_ms <= STALE_MS


_FRACTIONS: Final = frozenset({"cpu_percent", "event_loop_lag_ms"})
GAUGES: Final = frozenset(Vitals.__struct_fields__) - {"timestamp_ms", "runtime"}
