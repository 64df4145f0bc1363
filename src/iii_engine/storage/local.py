"""What the stores in this process share."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Protocol, TypeVar

from iii_engine.core.turns import Asker, Pieces, Turns
from iii_engine.storage.base import Transaction
from iii_engine.storage.copies import Copies

T = TypeVar("T")


class Pages(Protocol):
    """What is committed, in an order. The arguments are those of `LocalStore`."""

    def page(
        self, space: str, *, after: str, limit: int, size: int | None, descending: bool
    ) -> list[tuple[str, bytes]]: ...

    def newest(
        self, space: str, *, offset: int, limit: int, size: int
    ) -> list[tuple[str, bytes]]: ...


def soon(step: Callable[[], None]) -> None:
    """In the next turn of the loop."""
    asyncio.get_running_loop().call_soon(step)


class LocalReads(ABC):
    """`query`, `page` and `newest` by way of `read`."""

    @property
    @abstractmethod
    def _pages(self) -> Pages:
        """What `page` and `newest` are told from, while the store can be read."""

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

    def browse(
        self,
        work: Callable[[Transaction], Pieces[T]],
        done: Callable[[T | None, BaseException | None], None],
        asker: Asker | None = None,
    ) -> None:
        """See `Store.browse`. What is read is copied first."""
        self._turns.run(
            lambda: self.read(lambda transaction: work(Copies(transaction))), done, asker
        )

    @cached_property
    def _turns(self) -> Turns:
        return Turns(soon)

    def page(
        self,
        space: str,
        *,
        after: str = "",
        limit: int,
        size: int | None = None,
        descending: bool = False,
    ) -> list[tuple[str, bytes]]:
        """See `LocalStore.page`."""
        return self.read(
            lambda _: self._pages.page(
                space, after=after, limit=limit, size=size, descending=descending
            )
        )

    def newest(
        self, space: str, *, offset: int = 0, limit: int, size: int
    ) -> list[tuple[str, bytes]]:
        """See `LocalStore.newest`."""
        return self.read(lambda _: self._pages.newest(space, offset=offset, limit=limit, size=size))
