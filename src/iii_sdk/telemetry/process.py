"""What this process uses, as gauges (wire protocol 11.2)."""

from __future__ import annotations

import os
import resource
import sys
import time
from typing import Any, Final

from iii_sdk.telemetry import otlp

PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class ProcessGauges:
    """Measures the process; `cpu.percent` is since the measurement before."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._at = self._started
        self._cpu = _cpu_seconds()

    def measure(self, lag_seconds: float) -> dict[str, tuple[str, float]]:
        """Unit and value by name. `lag_seconds` says how late the event loop was."""
        now, (user, system) = time.monotonic(), _cpu_seconds()
        used = user + system - sum(self._cpu)
        percent = 100 * used / (now - self._at) if now > self._at else 0.0
        self._at, self._cpu = now, (user, system)
        memory_rss, memory_vms = _memory()
        return {
            "iii.worker.memory.rss": ("By", memory_rss),
            "iii.worker.memory.vms": ("By", memory_vms),
            "iii.worker.cpu.percent": ("%", round(percent, 3)),
            "iii.worker.cpu.user_micros": ("us", round(user * 1e6)),
            "iii.worker.cpu.system_micros": ("us", round(system * 1e6)),
            "iii.worker.event_loop.lag_ms": ("ms", round(max(0.0, lag_seconds) * 1000, 3)),
            "iii.worker.uptime_seconds": ("s", round(now - self._started, 3)),
        }


def gauge(name: str, unit: str, number: float, attributes: dict[str, str]) -> dict[str, Any]:
    """A gauge with one point, as OTLP has it."""
    point: dict[str, Any] = {
        "timeUnixNano": str(time.time_ns()),
        "attributes": otlp.attributes(attributes),
    }
    point |= {"asInt": str(number)} if isinstance(number, int) else {"asDouble": number}
    return {"name": name, "unit": unit, "gauge": {"dataPoints": [point]}}


def _cpu_seconds() -> tuple[float, float]:
    """In user and in system mode."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime


def _memory() -> tuple[int, int]:
    """Resident and virtual bytes; without `/proc` the largest resident size, and 0."""
    try:
        with open("/proc/self/statm", "rb") as file:
            total, resident = file.read().split()[:2]
    except OSError:
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest * (1 if sys.platform == "darwin" else 1024), 0
    return int(resident) * PAGE, int(total) * PAGE
