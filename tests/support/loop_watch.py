"""How long the loop was kept from other things, and how much memory Python took meanwhile.

Processor time is what counts: other processes of a busy machine are not this one's fault.
"""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


class LoopWatch:
    """`longest` is the most processor time between two ticks, in seconds; `peak` is in bytes."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.peak = 0
        self._last = time.thread_time()
        self._handle = asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._last)
        self._last = now
        self._handle = asyncio.get_running_loop().call_soon(self._tick)

    def end(self) -> None:
        self._handle.cancel()
        self.longest = max(self.longest, time.thread_time() - self._last)


@contextmanager
def loop_watch() -> Iterator[LoopWatch]:
    """Watch until the end of the block. Memory that was taken before does not count."""
    tracemalloc.start()
    watch = LoopWatch()
    try:
        yield watch
    finally:
        watch.end()
        watch.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
