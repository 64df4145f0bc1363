"""Which queues are paused, for all engines of one Redis."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from iii_engine.modules.queue.pauses import Done, Pauses
from iii_engine.modules.queue.redis.asking import Asking
from iii_engine.modules.queue.redis.names import PAUSED
from iii_engine.modules.queue.redis.scripts import looks
from iii_engine.storage.base import StoreError

log = logging.getLogger("iii.queue")


class RedisPauses(Pauses):
    """In memory what the set in Redis has. Whoever takes jobs looks at the set itself."""

    def __init__(self, asking: Asking) -> None:
        super().__init__()
        self._asking = asking

    def reload(self) -> None:
        """Changes of the set may have been missed. What fails is done with the next look."""
        self._asking.ask(looks.PAUSED_NAMES, [PAUSED], [], self._reloaded)

    def _reloaded(self, rows: Any, error: StoreError | None) -> None:
        if error is not None:
            log.debug("queue: %s", error)
            return
        known = {row.decode("utf-8", "replace") for row in rows}
        for name in known ^ self._names:
            self._change(name, name in known)

    def heard(self, message: bytes) -> None:
        """Some engine has paused a queue, or lets it go on."""
        try:
            name, paused = msgspec.json.decode(message, type=tuple[str, str])
        except msgspec.DecodeError:
            self.reload()
        else:
            self._change(name, paused == "1")

    def put(self, name: str, paused: bool, done: Done) -> None:
        def changed(_: Any) -> None:
            self._change(name, paused)

        self._asking.once(looks.PAUSE, [PAUSED], [name, int(paused)], changed, done)
