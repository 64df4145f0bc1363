"""Spaces in SQLite: one table for all, in the order of insertion.

`id` grows with every insertion and stays when a value is replaced, so it is the order of items
within their space. `item_order` is an index of (space, id), because an SQLite index ends with the
row's id.
"""

from __future__ import annotations

from typing import cast

import apsw

from iii_engine.storage.buffer import Write

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
_DELETE_SPACE = "DELETE FROM item WHERE space = ?"
_ITEMS = "SELECT key, value FROM item WHERE space = ? ORDER BY id LIMIT ? OFFSET ?"
_ITEMS_FROM = (
    "SELECT key, value FROM item WHERE space = ? AND key >= ? ORDER BY id LIMIT ? OFFSET ?"
)
_ITEMS_BETWEEN = (
    "SELECT key, value FROM item WHERE space = ? AND key >= ? AND key < ?"
    " ORDER BY id LIMIT ? OFFSET ?"
)
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

    def get(self, space: str, key: str) -> bytes | None:
        value: bytes | None = self._execute(_GET, (space, key)).get
        return value

    def put(self, space: str, key: str, value: bytes) -> None:
        self._execute(_PUT, (space, key, value))

    def delete(self, space: str, key: str) -> bool:
        there = self.get(space, key) is not None
        self._execute(_DELETE, (space, key))
        return there

    def items(
        self, space: str, *, prefix: str = "", limit: int | None = None, offset: int = 0
    ) -> list[tuple[str, bytes]]:
        page = (-1 if limit is None else limit, offset)
        if not prefix:
            cursor = self._execute(_ITEMS, (space, *page))
        elif (end := after(prefix)) is None:
            cursor = self._execute(_ITEMS_FROM, (space, prefix, *page))
        else:
            cursor = self._execute(_ITEMS_BETWEEN, (space, prefix, end, *page))
        return cast("list[tuple[str, bytes]]", cursor.fetchall())

    def count(self, space: str) -> int:
        total: int = self._execute(_COUNT, (space,)).get
        return total

    def spaces(self, prefix: str = "") -> list[str]:
        return [name for (name,) in self._execute(_SPACES, (prefix, after(prefix)))]

    def delete_space(self, space: str) -> int:
        deleted = self.count(space)
        self._execute(_DELETE_SPACE, (space,))
        return deleted

    def page(
        self, space: str, *, after: str = "", limit: int, descending: bool = False
    ) -> list[tuple[str, bytes]]:
        """See `LocalStore.page`."""
        if descending:
            cursor = self._execute(_LAST, (space, limit))
        else:
            cursor = self._execute(_AFTER, (space, after, limit))
        return cast("list[tuple[str, bytes]]", cursor.fetchall())

    def apply(self, writes: list[Write]) -> None:
        """Make the changes of one piece of work, in order."""
        execute = self._execute
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
