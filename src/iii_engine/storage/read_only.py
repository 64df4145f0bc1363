"""Transactions of queries."""

from __future__ import annotations

from iii_engine.storage.base import StoreError


class ReadOnly:
    """What those have of a `Transaction` that can only be read: nothing changes."""

    def put(self, space: str, key: str, value: bytes) -> None:
        raise StoreError("a query cannot write")

    def delete(self, space: str, key: str) -> bool:
        raise StoreError("a query cannot write")

    def discard(self, space: str, key: str) -> None:
        raise StoreError("a query cannot write")

    def delete_space(self, space: str) -> int:
        raise StoreError("a query cannot write")
