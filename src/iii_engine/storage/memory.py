"""The store in memory: nothing survives the process."""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeVar

from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.buffer import Buffer
from iii_engine.storage.local import LocalReads
from iii_engine.storage.portion import portion

log = logging.getLogger("iii.storage")

T = TypeVar("T")


#: Keys of deleted items that are left in place whatever the size of their space.
SLACK: Final = 1000


class Maps:
    """The data: spaces by name, each a map in the order of first insertion.

    A space that was read in pages has its keys in order as well, `_sorted`, where keys that are
    gone stay until they are more than those that are there.
    """

    def __init__(self) -> None:
        self._spaces: dict[str, dict[str, bytes]] = {}
        self._sorted: dict[str, list[str]] = {}

    def get(self, space: str, key: str) -> bytes | None:
        items = self._spaces.get(space)
        return None if items is None else items.get(key)

    def put(self, space: str, key: str, value: bytes) -> None:
        items = self._spaces.setdefault(space, {})
        if space in self._sorted and key not in items:
            keys = self._sorted[space]
            place = bisect_left(keys, key)
            if place == len(keys) or keys[place] != key:
                keys.insert(place, key)
        items[key] = value

    def delete(self, space: str, key: str) -> bool:
        items = self._spaces.get(space)
        if items is None or items.pop(key, None) is None:
            return False
        if not items:
            del self._spaces[space]
        if len(self._sorted.get(space, ())) > 2 * len(items) + SLACK:
            del self._sorted[space]
        return True

    def discard(self, space: str, key: str) -> None:
        self.delete(space, key)

    def items(
        self, space: str, *, prefix: str = "", limit: int | None = None, offset: int = 0
    ) -> Iterable[tuple[str, bytes]]:
        found: Iterable[tuple[str, bytes]] = self._spaces.get(space, {}).items()
        if prefix:
            found = (item for item in found if item[0].startswith(prefix))
        return islice(found, offset, None if limit is None else offset + limit)

    def count(self, space: str) -> int:
        return len(self._spaces.get(space, ()))

    def spaces(self, prefix: str = "") -> list[str]:
        return sorted(space for space in self._spaces if space.startswith(prefix))

    def names(self, prefix: str = "") -> Iterable[str]:
        return self.spaces(prefix)

    def page(
        self,
        space: str,
        *,
        after: str,
        limit: int,
        size: int | None,
        descending: bool,
    ) -> list[tuple[str, bytes]]:
        """See `LocalStore.page`."""
        items = self._spaces.get(space)
        if items is None:
            return []
        keys = self._sorted.get(space)
        if keys is None:
            keys = self._sorted[space] = sorted(items)
        if descending:
            there = (key for key in reversed(keys) if key in items)
        else:
            there = (key for key in islice(keys, bisect_right(keys, after), None) if key in items)
        found = ((key, items[key]) for key in islice(there, limit))
        return list(found if size is None else portion(found, size))

    def newest(self, space: str, *, offset: int, limit: int, size: int) -> list[tuple[str, bytes]]:
        """See `LocalStore.newest`."""
        items = reversed(self._spaces.get(space, {}).items())
        return list(portion(islice(items, offset, offset + limit), size))

    def delete_space(self, space: str) -> int:
        self._sorted.pop(space, None)
        return len(self._spaces.pop(space, ()))


class MemoryStore(LocalReads):
    """A `Store` whose `write` runs the work and calls `done` before it returns."""

    def __init__(self) -> None:
        self._maps = Maps()
        self._closed = False
        self.problem: str | None = None
        self.replaced: str | None = None

    async def open(self) -> None:
        self._closed = False

    async def close(self) -> None:
        self._closed = True

    def write(
        self,
        work: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        if self._closed:
            done(None, StoreError("the store is closed"))
            return
        buffer = Buffer(self._maps)
        try:
            result = work(buffer)
        except Exception as error:  # noqa: BLE001  (it is the caller's, who gets it)
            done(None, error)
            return
        maps = self._maps
        for space, key, value in buffer.writes:
            if key is None:
                maps.delete_space(space)
            elif value is None:
                maps.delete(space, key)
            else:
                maps.put(space, key, value)
        done(result, None)

    @property
    def _pages(self) -> Maps:
        return self._maps

    def read(self, work: Callable[[Transaction], T]) -> T:
        if self._closed:
            raise StoreError("the store is closed")
        return work(self._maps)
