"""Serve workers as a program."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iii_sdk.worker import Worker


def run(*workers: Worker, url: str | None = None) -> None:
    """Serve workers on one event loop until SIGTERM or SIGINT, then let running calls finish."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settle_memory()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(workers, url))


def settle_memory() -> None:
    """Keep the garbage collector off what stays and off calls that are merely under way.

    With a thousand calls in flight the default threshold of 700 objects scans all of them again
    and again: a fifth of the CPU of a call.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _serve(workers: tuple[Worker, ...], url: str | None) -> None:
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []

    def stop() -> None:
        if not stopping:
            stopping.extend(loop.create_task(worker.stop()) for worker in workers)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await asyncio.gather(*(worker.serve(url) for worker in workers))
    await asyncio.gather(*stopping)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """For `asyncio.Runner`: uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
