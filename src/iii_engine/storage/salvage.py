"""Taking over what can still be read of a damaged database."""

from __future__ import annotations

from pathlib import Path

import apsw

#: Items read at once.
BLOCK = 4096

_ROWS = "SELECT space, key, value FROM item NOT INDEXED WHERE id BETWEEN ? AND ? ORDER BY id"
_PUT = "INSERT OR IGNORE INTO item (space, key, value) VALUES (?, ?, ?)"


def salvage(damaged: Path, writer: apsw.Connection) -> int:
    """Copy the readable items in their order into an empty database; how many there were."""
    try:
        source = apsw.Connection(str(damaged))
    except apsw.Error:
        return 0
    saved = 0
    try:
        with writer:
            for start in range(0, _last_id(source) + 1, BLOCK):
                saved += _copy(source, writer, start, start + BLOCK - 1)
    finally:
        source.close(True)
    return saved


def _copy(source: apsw.Connection, writer: apsw.Connection, first: int, last: int) -> int:
    """Copy the readable items with these ids, closing in on the damage by halves."""
    try:
        rows = source.execute(_ROWS, (first, last)).fetchall()
    except apsw.Error:
        if first == last:
            return 0
        middle = (first + last) // 2
        return _copy(source, writer, first, middle) + _copy(source, writer, middle + 1, last)
    writer.executemany(_PUT, rows)
    return len(rows)


def _last_id(source: apsw.Connection) -> int:
    """The greatest id: from the table, or from an index when the table's end is damaged."""
    for where in ("NOT INDEXED", "INDEXED BY item_order"):
        try:
            last: int | None = source.execute(f"SELECT max(id) FROM item {where}").get
        except apsw.Error:
            continue
        return -1 if last is None else last
    return -1
