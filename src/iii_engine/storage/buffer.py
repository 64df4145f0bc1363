"""Writes of one piece of work, held back until it has succeeded.

A work that raises leaves nothing behind because nothing of it was written: its `Buffer` is simply
dropped. This costs less than a savepoint and works over any store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeAlias

from msgspec import Struct

from iii_engine.storage.base import Transaction

Write: TypeAlias = tuple[str, str | None, bytes | None]
"""One change: space, key, value. Without a value the key goes; without a key the whole space."""


class Changes:
    """What a buffer changed in one space, as its own reads must see it."""

    __slots__ = ("emptied", "moved", "values")

    def __init__(self) -> None:
        self.values: dict[str, bytes | None] = {}
        self.moved: set[str] = set()  # deleted, then put again: now last in order
        self.emptied = False  # nothing below counts any more

    def add(self, key: str, value: bytes | None) -> None:
        """A key was put, or deleted."""
        if value is None:
            self.moved.discard(key)
        elif self.values.get(key, b"") is None:
            del self.values[key]
            self.moved.add(key)
        self.values[key] = value


class Buffer(Struct, eq=False):
    """A `Transaction` over another one that is only read. `writes` is what to apply, in order."""

    _base: Transaction
    writes: list[Write] = []
    _spaces: dict[str, Changes] = {}
    #: Writes that are in `_spaces`: most works read nothing after they write.
    _seen: int = 0

    def _changes(self, space: str) -> Changes | None:
        """What was changed in a space; None for nothing."""
        spaces = self._spaces
        for name, key, value in self.writes[self._seen :]:
            if key is None:
                spaces[name] = Changes()
                spaces[name].emptied = True
                continue
            changes = spaces.get(name)
            if changes is None:
                changes = spaces[name] = Changes()
            changes.add(key, value)
        self._seen = len(self.writes)
        return spaces.get(space)

    def get(self, space: str, key: str) -> bytes | None:
        if self.writes:  # else nothing can differ from the base
            changes = self._changes(space)
            if changes is not None and (key in changes.values or changes.emptied):
                return changes.values.get(key)
        return self._base.get(space, key)

    def put(self, space: str, key: str, value: bytes) -> None:
        self.writes.append((space, key, value))

    def delete(self, space: str, key: str) -> bool:
        if self.get(space, key) is None:
            return False
        self.discard(space, key)
        return True

    def discard(self, space: str, key: str) -> None:
        self.writes.append((space, key, None))

    def items(
        self, space: str, *, prefix: str = "", limit: int | None = None, offset: int = 0
    ) -> Iterable[tuple[str, bytes]]:
        changes = self._changes(space)
        if changes is None:
            return self._base.items(space, prefix=prefix, limit=limit, offset=offset)
        stop = None if limit is None else offset + limit
        return islice(self._merged(space, changes, prefix, stop), offset, stop)

    def _merged(
        self, space: str, changes: Changes, prefix: str, stop: int | None
    ) -> Iterator[tuple[str, bytes]]:
        values, in_place = changes.values, set()
        # No more of those below can be hidden than were changed.
        enough = None if stop is None else stop + len(values)
        if not changes.emptied:
            for key, value in self._base.items(space, prefix=prefix, limit=enough):
                if key not in values:
                    yield key, value
                elif key not in changes.moved:
                    in_place.add(key)
                    if (new := values[key]) is not None:
                        yield key, new
        for key, added in values.items():
            if added is not None and key not in in_place and key.startswith(prefix):
                yield key, added

    def count(self, space: str) -> int:
        changes = self._changes(space)
        if changes is None:
            return self._base.count(space)
        if changes.emptied:
            return sum(value is not None for value in changes.values.values())
        total = self._base.count(space)
        for key, value in changes.values.items():
            total += (value is not None) - (self._base.get(space, key) is not None)
        return total

    def spaces(self, prefix: str = "") -> list[str]:
        found = set(self._base.spaces(prefix))
        for space in {space for space, _, _ in self.writes}:
            if space.startswith(prefix):
                (found.add if self.count(space) else found.discard)(space)
        return sorted(found)

    def names(self, prefix: str = "") -> Iterable[str]:
        return self.spaces(prefix)

    def delete_space(self, space: str) -> int:
        deleted = self.count(space)
        self.writes.append((space, None, None))
        return deleted
