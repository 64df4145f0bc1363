"""Parts of answers. Records are carried as the bytes they are stored as."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from iii_engine.core.updates import OpError

NULL = b"null"


class Written(Struct, omit_defaults=True):
    """Schema of the answer to a change; `errors` are those of update operations."""

    old_value: Any
    new_value: Any
    errors: list[OpError] = []


def flag(value: bool) -> bytes:
    return b"true" if value else b"false"


def written(old: bytes | None, new: bytes | None, *more: bytes) -> bytes:
    """`old_value`, `new_value` and further members (each `"name":value`)."""
    return b"".join(
        (
            b'{"old_value":',
            old or NULL,
            b',"new_value":',
            new or NULL,
            *(b"," + member for member in more),
            b"}",
        )
    )
