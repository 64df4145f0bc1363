"""Reads that stay as they are while others write."""

from __future__ import annotations

from collections.abc import Iterable

from iii_engine.storage.base import Transaction
from iii_engine.storage.read_only import ReadOnly


class Copies(ReadOnly):
    """A `Transaction` for reading another one that changes: each read is copied whole."""

    def __init__(self, base: Transaction) -> None:
        self._base = base

    def get(self, space: str, key: str) -> bytes | None:
        return self._base.get(space, key)

    def items(
        self, space: str, *, prefix: str = "", limit: int | None = None, offset: int = 0
    ) -> Iterable[tuple[str, bytes]]:
        return list(self._base.items(space, prefix=prefix, limit=limit, offset=offset))

    def count(self, space: str) -> int:
        return self._base.count(space)

    def spaces(self, prefix: str = "") -> list[str]:
        return self._base.spaces(prefix)

    def names(self, prefix: str = "") -> Iterable[str]:
        return self.spaces(prefix)
