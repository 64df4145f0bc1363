"""Work for an event loop from other threads; what comes at the same time costs one wake-up."""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

log = logging.getLogger("iii.sdk")

Work = Callable[[], object]


class Mailbox:
    """Calls what is posted on the loop, in order. It does not keep the loop alive."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._posted: deque[Work] = deque()
        self._guard = threading.Lock()
        self._awake = False
        self._closed = False

    def post(self, work: Work) -> bool:
        """False when the loop has ended: the work is not done."""
        with self._guard:
            if not self._closed and not self._awake:
                self._closed = not self._wake()
            if self._closed:
                return False
            self._posted.append(work)
        return True

    def close(self) -> None:
        """Take no more; do now what was posted. To be called on the loop's thread."""
        with self._guard:
            self._closed = True
        self._work()

    def _wake(self) -> bool:
        loop = self._loop()
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(self._work)
        except RuntimeError:  # it is closed
            return False
        self._awake = True
        return True

    def _work(self) -> None:
        with self._guard:
            self._awake = False
            works, self._posted = self._posted, deque()
        for work in works:
            try:
                work()
            except Exception:
                log.exception("a callback failed")


_boxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = WeakKeyDictionary()


def mailbox(loop: asyncio.AbstractEventLoop) -> Mailbox:
    """The mailbox of a loop. To be called on the loop's thread."""
    box = _boxes.get(loop)
    if box is None:
        box = _boxes[loop] = Mailbox(loop)
    return box
