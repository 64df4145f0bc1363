"""Threads of an instance: event loops that run beside the program, and a pool."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

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
        self._posted: deque[Callable[[], object]] = deque()
        self._guard = threading.Lock()
        self._awake = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def post(self, work: Callable[[], object]) -> bool:
        """Have something called on the loop, in order. False when the loop has ended."""
        with self._guard:
            if self._closed:
                return False
            self._posted.append(work)
            if not self._awake:  # one wake-up serves everything posted until the loop gets to it
                self._awake = True
                self.loop.call_soon_threadsafe(self._work)
        return True

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop. Raises `RuntimeError` when the loop has ended."""
        with self._guard:
            if not self._closed:
                return asyncio.run_coroutine_threadsafe(work, self.loop)
        work.close()
        raise RuntimeError("iii is shutting down")

    def stop(self, timeout: float) -> None:
        """Cancel what runs and end the thread; one that is blocked is left behind."""
        with self._guard:
            if not self._closed:
                self.loop.call_soon_threadsafe(self.loop.stop)
        if not self.is_current:
            self._thread.join(timeout)

    def _work(self) -> None:
        with self._guard:
            self._awake = False
            works, self._posted = self._posted, deque()
        for work in works:
            try:
                work()
            except Exception:
                log.exception("a callback failed")

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self._cancel_tasks()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            with self._guard:
                self._closed = True
            self._work()
            self.loop.close()

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
