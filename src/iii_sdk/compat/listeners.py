"""Callbacks of the program that want to know about the connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from iii_sdk.compat.handlers import Handlers
from iii_sdk.compat.link import ConnectionState

Callback = Callable[[ConnectionState], object]


class Listeners:
    """Called on the handlers' loop, in the order of the changes."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._callbacks: list[Callback] = []
        self._guard = threading.Lock()

    def add(self, callback: Callback) -> Callable[[], None]:
        """Returns what removes it."""
        with self._guard:
            self._callbacks.append(callback)

        def remove() -> None:
            with self._guard:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return remove

    def tell(self, state: ConnectionState) -> None:
        with self._guard:
            callbacks = list(self._callbacks)
        for callback in callbacks:
            self._handlers.loop.post(partial(callback, state))
