"""Threads of an instance: event loops that run beside the program, and a pool."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from iii_sdk.compat.mailbox import Mailbox

log = logging.getLogger("iii.sdk")

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that tasks get to end after they were cancelled.
CANCEL_SECONDS = 1.0


class Pool(ThreadPoolExecutor):
    """At most `size` threads for blocking work, started when needed.

    The standard pool takes no more work once the main thread has ended, but a worker lives on then.
    """

    def __init__(self, size: int, name: str) -> None:
        super().__init__(size, name)
        self._name = name
        self._size = size
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._started = 0
        self._free = 0
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Raises `RuntimeError` after `shutdown`."""
        future: Future[T] = Future()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                    future.set_exception(error)

        with self._guard:
            if self._closed:
                raise RuntimeError("iii is shutting down")
            self._jobs.put(job)
            if self._free:
                self._free -= 1
            elif self._started < self._size:
                self._started += 1
                name = f"{self._name}-{self._started}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job
            with self._guard:
                self._free += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work. Never waits: what runs, runs on."""
        with self._guard:
            self._closed = True
            for _ in range(self._started):
                self._jobs.put(None)


class LoopThread:
    """An event loop on a thread of its own."""

    def __init__(self, name: str, pool: Pool) -> None:
        self.loop = _new_loop()
        # asyncio resolves host names in its default pool.
        self.loop.set_default_executor(pool)
        self._box = Mailbox(self.loop)
        #: Have something called on the loop, in order. False when the loop has ended.
        self.post = self._box.post
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop. Raises `RuntimeError` when the loop has ended."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:
            work.close()
            raise RuntimeError("iii is shutting down") from None

    def stop(self, timeout: float) -> None:
        """Cancel what runs and end the thread; one that is blocked is left behind."""
        self.post(self.loop.stop)
        if not self.is_current:
            self._thread.join(timeout)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self._run_on()
            self._cancel_tasks()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            # Sockets that were aborted are closed by callbacks of the next turns.
            for _ in range(3):
                self.loop.run_until_complete(asyncio.sleep(0))
        finally:
            self._box.close()
            self.loop.close()

    def _run_on(self) -> None:
        """Run until `stop`. No signal comes to this thread, so what would end a program is what
        some callback of it raised: that must not end the loop of all the others."""
        while True:
            try:
                return self.loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                log.exception("a callback failed")

    def _cancel_tasks(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=CANCEL_SECONDS))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
