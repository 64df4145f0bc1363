"""Stored values that are no text any more: a disk gave back other bytes than it was given.

Every message with such a value in it would end the connection of the worker or client that gets it.
"""

from __future__ import annotations

import logging
from typing import Final

from iii_engine.core.once import Once
from iii_engine.storage.base import StoreError, Transaction

log = logging.getLogger("iii.storage")

#: What is told of such a value where another takes its place.
UNKNOWN: Final = b"null"

_unreadable: Final = Once(log)


def read_value(transaction: Transaction, space: str, key: str) -> bytes | None:
    """A stored value; None where there is none. Raises `StoreError` for a damaged one."""
    value = transaction.get(space, key)
    if value is not None and not value.isascii() and not legible(space, key, value):
        raise StoreError(f"the value of {key!r} in {space!r} is damaged: it is no text")
    return value


def read_replaced(transaction: Transaction, space: str, key: str) -> bytes | None:
    """As `read_value`, for what is about to be replaced or deleted: that mends a damaged one."""
    value = transaction.get(space, key)
    if value is not None and not value.isascii() and not legible(space, key, value):
        return UNKNOWN
    return value


def legible(space: str, key: str, value: bytes) -> bool:
    """Whether a value is text. What is ASCII is; that is quicker to ask, and to be asked first."""
    try:
        value.decode()
    except UnicodeDecodeError as error:
        text = "the value of %r in %r is damaged (%s); such values are left out of lists"
        _unreadable.warn(text, key, space, error)
        return False
    return True
