"""Spaces in SQLite: one table for all, in the order of insertion.

`id` grows with every insertion and stays when a value is replaced, so it is the order of items
within their space. `item_order` is an index of (space, id), because an SQLite index ends with the
row's id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import apsw

from iii_engine.storage.buffer import Write
from iii_engine.storage.portion import portion

SCHEMA = """
CREATE TABLE IF NOT EXISTS item (
    id INTEGER PRIMARY KEY,
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (space, key)
);
CREATE INDEX IF NOT EXISTS item_order ON item (space);
"""

_GET = "SELECT value FROM item WHERE space = ? AND key = ?"
_PUT = (
    "INSERT INTO item (space, key, value) VALUES (?, ?, ?)"
    " ON CONFLICT (space, key) DO UPDATE SET value = excluded.value"
)
_DELETE = "DELETE FROM item WHERE space = ? AND key = ?"
_COUNT = "SELECT count(*) FROM item WHERE space = ?"
_LARGE = "SELECT 1 FROM item WHERE space = ? LIMIT 1 OFFSET 1000"
_DELETE_SPACE = "DELETE FROM item WHERE space = ?"
_ITEMS = "SELECT key, value FROM item WHERE space = ? ORDER BY id LIMIT ? OFFSET ?"
_ITEMS_FROM = (
    "SELECT key, value FROM item WHERE space = ? AND key >= ? ORDER BY id LIMIT ? OFFSET ?"
)
#: By way of the keys, then sorted; or (`+` keeps SQLite from the keys) in order, one by one.
_ITEMS_BETWEEN = (
    "SELECT key, value FROM item WHERE space = ? AND key >= ? AND key < ?"
    " ORDER BY id LIMIT ? OFFSET ?"
)
_ITEMS_PASSED = (
    "SELECT key, value FROM item WHERE space = ? AND +key >= ? AND +key < ?"
    " ORDER BY id LIMIT ? OFFSET ?"
)
_MANY = "SELECT 1 FROM item WHERE space = ? AND key >= ? AND key < ? LIMIT 1 OFFSET 1000"
_NEWEST = "SELECT key, value FROM item WHERE space = ? ORDER BY id DESC LIMIT ? OFFSET ?"
_AFTER = "SELECT key, value FROM item WHERE space = ? AND key > ? ORDER BY key LIMIT ?"
_LAST = "SELECT key, value FROM item WHERE space = ? ORDER BY key DESC LIMIT ?"
#: Jumps from each name to the next greater one instead of reading every row.
_SPACES = """
WITH RECURSIVE name (space) AS (
    SELECT min(space) FROM item WHERE space >= ?
    UNION ALL
    SELECT (SELECT min(space) FROM item WHERE space > name.space) FROM name
    WHERE name.space IS NOT NULL AND (?2 IS NULL OR name.space < ?2)
)
SELECT space FROM name WHERE space IS NOT NULL AND (?2 IS NULL OR space < ?2)
"""


class Tables:
    """A `Transaction` on a connection, inside whatever transaction that connection is in."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        #: For what has ended when it returns: all share one cursor, which spares making one.
        self._at_once = connection.cursor().execute

    def get(self, space: str, key: str) -> bytes | None:
        value: bytes | None = self._at_once(_GET, (space, key)).get
        return value

    def put(self, space: str, key: str, value: bytes) -> None:
        self._at_once(_PUT, (space, key, value))

    def delete(self, space: str, key: str) -> bool:
        there = self.get(space, key) is not None
        self.discard(space, key)
        return there

    def discard(self, space: str, key: str) -> None:
        self._at_once(_DELETE, (space, key))

    def items(
        self, space: str, *, prefix: str = "", limit: int | None = None, offset: int = 0
    ) -> Iterable[tuple[str, bytes]]:
        page = (-1 if limit is None else limit, offset)
        if not prefix:
            return self._rows(_ITEMS, space, *page)
        if (end := after(prefix)) is None:
            return self._rows(_ITEMS_FROM, space, prefix, *page)
        # Sorting all of very many takes several times as long as passing over the others.
        many = self._execute(_MANY, (space, prefix, end)).get is not None
        return self._rows(_ITEMS_PASSED if many else _ITEMS_BETWEEN, space, prefix, end, *page)

    def count(self, space: str) -> int:
        total: int = self._execute(_COUNT, (space,)).get
        return total

    def spaces(self, prefix: str = "") -> list[str]:
        return list(self.names(prefix))

    def names(self, prefix: str = "") -> Iterable[str]:
        return (name for (name,) in self._execute(_SPACES, (prefix, after(prefix))))

    def is_large(self, space: str) -> bool:
        """Whether it takes long to do something with all of its items."""
        return self._execute(_LARGE, (space,)).get is not None

    def delete_space(self, space: str) -> int:
        deleted = self.count(space)
        self._execute(_DELETE_SPACE, (space,))
        return deleted

    def page(
        self, space: str, *, after: str, limit: int, size: int | None, descending: bool
    ) -> list[tuple[str, bytes]]:
        """See `LocalStore.page`."""
        if descending:
            rows = self._rows(_LAST, space, limit)
        else:
            rows = self._rows(_AFTER, space, after, limit)
        return list(rows if size is None else portion(rows, size))

    def newest(self, space: str, *, offset: int, limit: int, size: int) -> list[tuple[str, bytes]]:
        """See `LocalStore.newest`."""
        return list(portion(self._rows(_NEWEST, space, limit, offset), size))

    def _rows(self, statement: str, *bindings: str | int) -> Iterable[tuple[str, bytes]]:
        return cast("Iterable[tuple[str, bytes]]", self._execute(statement, bindings))

    def apply(self, writes: list[Write]) -> None:
        """Make the changes of one piece of work, in order."""
        execute = self._at_once
        for space, key, value in writes:
            if key is None:
                execute(_DELETE_SPACE, (space,))
            elif value is None:
                execute(_DELETE, (space, key))
            else:
                execute(_PUT, (space, key, value))


def after(prefix: str) -> str | None:
    """The least text above all that begin with `prefix`; None when there is no such text."""
    head = prefix.rstrip("\U0010ffff")
    if not head:
        return None
    last = ord(head[-1])
    return head[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
