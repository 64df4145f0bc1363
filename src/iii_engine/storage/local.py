"""What the stores in this process share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from iii_engine.storage.base import Transaction

T = TypeVar("T")


class LocalReads(ABC):
    """`query` by way of `read`."""

    @abstractmethod
    def read(self, work: Callable[[Transaction], T]) -> T:
        """See `LocalStore.read`."""

    def query(
        self,
        work: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        """See `Store.query`."""
        try:
            result = self.read(work)
        except Exception as error:  # noqa: BLE001  (whoever asked gets it)
            done(None, error)
        else:
            done(result, None)
