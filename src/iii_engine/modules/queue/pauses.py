"""Which queues are paused; that outlives the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, TypeAlias

from iii_engine.storage.base import LocalStore, Transaction

SPACE: Final = "queue/paused"

#: Called once, with an error or without.
Done: TypeAlias = Callable[[None, BaseException | None], None]


class Pauses(ABC):
    """Names of queues and topics."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        #: Told of what changes, also of what other engines have paused or resumed.
        self.changed: Callable[[str, bool], None] = lambda name, paused: None

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @abstractmethod
    def put(self, name: str, paused: bool, done: Done) -> None:
        """Pause or go on; it applies when `done` is called without an error."""

    def _change(self, name: str, paused: bool) -> None:
        (self._names.add if paused else self._names.discard)(name)
        self.changed(name, paused)


class OwnPauses(Pauses):
    """Of this engine only, in its store."""

    def __init__(self, store: LocalStore) -> None:
        super().__init__()
        self._store = store
        self._names = {key for key, _ in store.read(lambda t: list(t.items(SPACE)))}

    def put(self, name: str, paused: bool, done: Done) -> None:
        def change(transaction: Transaction) -> None:
            if paused:
                transaction.put(SPACE, name, b"true")
            else:
                transaction.delete(SPACE, name)

        def written(_: None, error: BaseException | None) -> None:
            if error is None:
                self._change(name, paused)
            done(None, error)

        self._store.write(change, written)
