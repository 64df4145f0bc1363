"""The baseline of the durable rows: one page written and made durable, over and over."""

from __future__ import annotations

import os
import time
from pathlib import Path

from msgspec import Struct

PAGE = 4096
#: Writes go round a file of fixed size, as a write-ahead log does once it has grown.
PAGES = 1024


class Disk(Struct):
    """How fast single durable writes are here."""

    per_second: float
    p50_us: float


def measure(path: Path, seconds: float) -> Disk:
    """Write and fsync single pages for so long."""
    page = os.urandom(PAGE)
    times: list[float] = []
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, bytes(PAGE * PAGES), 0)
        os.fsync(descriptor)
        began = now = time.perf_counter()
        while now - began < seconds:
            os.pwrite(descriptor, page, len(times) % PAGES * PAGE)
            os.fsync(descriptor)
            before, now = now, time.perf_counter()
            times.append(now - before)
    finally:
        os.close(descriptor)
    times.sort()
    return Disk(len(times) / (now - began), times[len(times) // 2] * 1e6)
