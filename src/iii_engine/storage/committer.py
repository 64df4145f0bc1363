"""The thread that waits for the disk, so that the event loop does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue


class Committer:
    """Runs `commit` in its thread when asked and reports on the loop: None, or what it raised."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        commit: Callable[[], object],
        finished: Callable[[Exception | None], None],
    ) -> None:
        self._loop = loop
        self._commit = commit
        self._finished = finished
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="iii-store", daemon=True)
        self._thread.start()

    def start_commit(self) -> None:
        self._wanted.put(True)

    def stop(self) -> None:
        """End the thread. No commit may be under way."""
        self._wanted.put(False)
        self._thread.join()

    def _run(self) -> None:
        while self._wanted.get():
            problem: Exception | None = None
            try:
                self._commit()
            except Exception as error:  # noqa: BLE001  (whoever waits for the commit gets it)
                problem = error
            try:
                self._loop.call_soon_threadsafe(self._finished, problem)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more
