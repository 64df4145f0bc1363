"""Waiting for something to become true, with a deadline instead of a fixed sleep."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds. Much longer than anything takes on a busy machine, since only what fails waits so long;
#: below the time limit of a test, so that it says what it waited for.
PATIENCE = 30.0
STEP = 0.01


async def until(
    condition: Callable[[], T | Awaitable[T]], what: str = "", timeout: float = PATIENCE
) -> T:
    """The first truthy value of `condition()` (which may be a coroutine function)."""
    end = time.monotonic() + timeout
    while True:
        found = condition()
        value: T = await found if inspect.isawaitable(found) else found
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what or condition}; last: {value!r}")
        await asyncio.sleep(STEP)


def until_sync(condition: Callable[[], T], what: str = "", timeout: float = PATIENCE) -> T:
    """As `until`, for threads without an event loop."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what or condition}; last: {value!r}")
        time.sleep(STEP)
