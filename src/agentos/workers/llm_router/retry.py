"""Attempts: three in all, with exponential waits under full jitter, inside one time limit."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agentos.workers.llm_router.failures import (
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ProviderUnreachable,
)

ATTEMPTS = 3
LONGEST_WAIT_S = 30.0

T = TypeVar("T")


class Retry:
    """Repeats what may succeed the next time. Sleep, clock and randomness can be replaced."""

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        timeout_s: float,
        may_retry: Callable[[], bool] = lambda: True,
    ) -> T:
        """The result of the first attempt that succeeds, else the last error.

        An error that is not retryable, or a wait that would pass the time limit, ends it at once.
        """
        deadline = self._clock() + timeout_s
        for number in range(ATTEMPTS):
            try:
                return await attempt()
            except (ProviderBusy, ProviderRefused, ProviderUnreachable) as error:
                wait = self._wait(error, number)
                last = number == ATTEMPTS - 1
                late = self._clock() + wait >= deadline
                if last or late or not error.retryable or not may_retry():
                    raise
            await self._sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait(self, error: ProviderError, number: int) -> float:
        """What the provider asked for, else up to 1 s, 2 s, ... at random."""
        if error.wait_s is not None:
            return min(error.wait_s, LONGEST_WAIT_S)
        return float(2**number) * self._jitter()
