"""What brokers on a server have in common whose client is asked in tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

from iii_engine.core.engine import Engine
from iii_engine.modules.queue.broker import Broker, Done
from iii_engine.storage.base import ServerLost, StoreError
from iii_engine.tasks import Tasks

log = logging.getLogger("iii.queue")

T = TypeVar("T")

#: Seconds between attempts at what must be stored: the first pause, and the longest.
AGAIN_SECONDS: Final = 0.25
MOST_SECONDS: Final = 2.0
#: Seconds that the end waits for what is being stored.
GOODBYE_SECONDS: Final = 2.0


class ServerBroker(Broker):
    """Everything happens in tasks; what must be stored is tried until it is.

    Every question is answered, also when the queues end or something fails that nobody foresaw.
    """

    shared = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._latest = 0
        self._tasks = Tasks()
        self._closing = False

    def _told(self) -> AbstractContextManager[None]:
        """Makes `StoreError` of the failures of the client library, where nobody else does."""
        return nullcontext()

    def _answer(self, work: Coroutine[Any, Any, T], done: Done[T], *, stores: bool = False) -> None:
        """Tell `done` what becomes of it, whatever that is.

        Who `stores` something and gets no answer does not know whether it was stored.
        """

        async def answer() -> T:
            try:
                with self._told():
                    return await work
            except ServerLost as error:
                if not stores:
                    raise
                raise ServerLost(f"{error}; it is not known whether the job was stored") from error

        def ended(task: asyncio.Task[T]) -> None:
            work.close()  # it may not have begun
            if task.cancelled():
                done(None, ServerLost("the queues were closed before their server had answered"))
            elif (error := task.exception()) is not None:
                done(None, error)
            else:
                done(task.result(), None)

        self._tasks.spawn(answer()).add_done_callback(ended)

    def _insist(self, work: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
        """Do it, and again while the server is away."""

        async def insist() -> None:
            pause = AGAIN_SECONDS
            while True:
                try:
                    with self._told():
                        await work()
                    return
                except StoreError as error:
                    if self._closing:
                        return
                    log.warning("queue: %s", error)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, MOST_SECONDS)
                except Exception:
                    log.exception("queue: what was to be stored cannot be")
                    return

        return self._tasks.spawn(insist())

    def _token(self) -> int:
        """Of a lease where the server counts none: the microsecond at which it begins.

        So a later holder has a greater one at any engine, as far as their clocks agree.
        """
        self._latest = max(self._latest + 1, self._engine.clock.now_ns() // 1_000)
        return self._latest

    @property
    def _now_ms(self) -> int:
        return self._engine.clock.now_ns() // 1_000_000
