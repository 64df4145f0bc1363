"""Changes that nobody waits for, written together, and again until the store has them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeAlias

from iii_engine.core.timers import Timers
from iii_engine.storage.base import LocalStore, StoreError, Transaction

log = logging.getLogger("iii.queue")

#: Seconds between two tries when the store cannot write.
AGAIN_SECONDS: Final = 1.0

#: Changes written in one go: the loop has other things to do as well.
BATCH: Final = 1000

Change: TypeAlias = Callable[[Transaction], None]
Then: TypeAlias = Callable[[], None]

#: Runs something at the end of this tick of the loop.
Soon: TypeAlias = Callable[[Callable[[], None]], object]


class Journal:
    """In the order they were added, in batches; one is under way at a time.

    A batch with a change that cannot be made is taken apart, and its changes are then written one
    by one beside the batches behind it. Each change must be repeatable.
    """

    def __init__(self, store: LocalStore, timers: Timers, soon: Soon) -> None:
        self._store = store
        self._timers = timers
        self._soon = soon
        self._waiting: list[tuple[Change, Then]] = []
        self._busy = False
        self._writing = 0
        #: Writes what there is, and should get nothing more.
        self.closed = False
        self._over = False
        self._ended: asyncio.Future[None] | None = None

    def add(self, change: Change, then: Then) -> None:
        """Write the change with others of this tick; `then` follows when it is durable.

        Nothing is written after the end of `close`: the jobs may be those of another journal then.
        """
        if self._over:
            log.warning("a change of the queue came after its end, and is not made")
            return
        self._waiting.append((change, then))
        if not self._busy:
            self._busy = True
            self._soon(self._write)

    async def close(self) -> None:
        """Write what waits, once; what the store refuses now is found undone after the restart."""
        self.closed = True
        if self._waiting or self._writing:
            self._ended = asyncio.get_running_loop().create_future()
            self._write()
            await self._ended
        self._over = True

    def _write(self) -> None:
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        if batch:
            self._writing += 1
            self._submit(batch)
        else:
            self._busy = False
            if self._ended is not None and not self._writing and not self._ended.done():
                self._ended.set_result(None)

    def _submit(self, batch: list[tuple[Change, Then]]) -> None:
        def work(transaction: Transaction) -> None:
            for change, _ in batch:
                change(transaction)

        def done(__: None, error: BaseException | None) -> None:
            self._writing -= 1
            if error is None:
                for _, then in batch:
                    try:
                        then()
                    except Exception:  # a fault in the program must not stop the queues
                        log.exception("after a change of the queue")
            elif not isinstance(error, StoreError):
                # One of them cannot be made: the others must not wait for it.
                if len(batch) == 1:
                    log.error("a change of the queue cannot be made", exc_info=error)
                else:
                    for one in batch:
                        self._writing += 1
                        self._submit([one])
            else:
                log.error("the queue cannot be written, and tries again: %s", error)
                if not self.closed:
                    self._waiting = batch + self._waiting
                    self._timers.after(AGAIN_SECONDS, self._write)
                    return
            if self.closed:
                self._write()
            else:
                self._soon(self._write)

        self._store.write(work, done)
