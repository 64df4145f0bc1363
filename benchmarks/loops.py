"""Run a coroutine on the loop that the engine uses, so that every process has the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

try:
    import uvloop
except ImportError:  # where there is no uvloop, nobody has it
    uvloop = None  # type: ignore[assignment]

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    if uvloop is None:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
