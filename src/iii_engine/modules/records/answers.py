"""Parts of answers. Records are carried as the bytes they are stored as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from iii_engine.core.updates import OpError
from iii_sdk.errors import BusError

NULL = b"null"

#: Bytes of a list: nobody takes a larger message, so no more is read.
MAX_LIST: Final = 64 * 1024 * 1024


class Written(Struct, omit_defaults=True):
    """Schema of the answer to a change; `errors` are those of update operations."""

    old_value: Any
    new_value: Any
    errors: list[OpError] = []


def flag(value: bool) -> bytes:
    return b"true" if value else b"false"


def array(parts: Iterable[bytes]) -> bytes:
    """A JSON array of JSON bytes. Raises `BusError` as soon as it is too large for anybody."""
    kept, size = [], 0
    for part in parts:
        size += len(part) + 1
        if size > MAX_LIST:
            raise BusError(
                f"the list is larger than {MAX_LIST} bytes: ask for parts of it",
                code="payload_too_large",
            )
        kept.append(part)
    return b"[" + b",".join(kept) + b"]"


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
