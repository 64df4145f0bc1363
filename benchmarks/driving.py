"""A number of calls in flight from inside a program: the same loop for every client library."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

ECHO_TEXT = {"text": "x" * 89}


async def drive(call: Callable[[], Awaitable[object]], inflight: int, seconds: float) -> float:
    """Calls answered per second, after a warm-up of a quarter of the time."""
    answered = 0
    running = True

    async def one_after_another() -> None:
        nonlocal answered
        while running:
            await call()
            answered += 1

    tasks = [asyncio.ensure_future(one_after_another()) for _ in range(inflight)]
    await asyncio.sleep(seconds / 4)
    before, began = answered, time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (answered - before) / (time.perf_counter() - began)
    running = False
    await asyncio.gather(*tasks)
    return rate
