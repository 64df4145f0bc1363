"""Which queues are paused; that outlives the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from iii_engine.storage.base import LocalStore, Transaction

SPACE: Final = "queue/paused"


class Pauses:
    """Names of queues and topics, in memory and in the store."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._names = {key for key, _ in store.read(lambda t: list(t.items(SPACE)))}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def put(
        self, name: str, paused: bool, done: Callable[[None, BaseException | None], None]
    ) -> None:
        """Pause or go on; it applies when `done` is called without an error."""

        def change(transaction: Transaction) -> None:
            if paused:
                transaction.put(SPACE, name, b"true")
            else:
                transaction.delete(SPACE, name)

        def written(_: None, error: BaseException | None) -> None:
            if error is None:
                (self._names.add if paused else self._names.discard)(name)
            done(None, error)

        self._store.write(change, written)
