"""What a worker tells about its process."""

from __future__ import annotations

import msgspec

from iii_engine.core.vitals import STALE_MS, Vitals


def test_gauges_become_fields_and_others_are_left_out() -> None:
    vitals = Vitals(0, "node")
    vitals.note("iii.worker.memory.heap_used", 5, 10)
    vitals.note("iii.worker.event_loop.lag_ms", 0.5, 20)
    vitals.note("iii.worker.uptime_seconds", 3.7, 20)
    vitals.note("iii.worker.memory.rss", float("nan"), 30)
    vitals.note("iii.worker.runtime", 1, 30)
    vitals.note("iii.worker.memory.virtual", 1, 30)
    assert msgspec.to_builtins(vitals) == {
        "timestamp_ms": 20,
        "runtime": "node",
        "memory_heap_used": 5,
        "event_loop_lag_ms": 0.5,
        "uptime_seconds": 3,
    }


def test_old_values_say_nothing() -> None:
    vitals = Vitals(1000, "node")
    assert vitals.recent(1000 + STALE_MS)
    assert not vitals.recent(1001 + STALE_MS)
