"""What the functions of `iii-state` answer. Records are carried as the bytes they are stored as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from iii_engine.core.updates import OpError

_encode = msgspec.json.encode
NULL = b"null"


class Written(Struct, omit_defaults=True):
    """Schema of the answer to a change. `applied` comes with `expect`, `set` with `if_absent`."""

    old_value: Any
    new_value: Any
    errors: list[OpError] = []
    applied: bool = True
    set: bool = True


class Deleted(Struct):
    """Schema: how many records went."""

    deleted: int


class Groups(Struct):
    """Schema: the scopes that have records, sorted."""

    groups: list[str]


class Keys(Struct):
    """Schema: the keys of a scope in insertion order."""

    keys: list[str]


class Transacted(Struct, omit_defaults=True):
    """Schema of `state::transact`: one result per entry, or the entry that did not apply."""

    applied: bool
    results: list[Any]
    failed_index: int | None = None


def flag(value: bool) -> bytes:
    return b"true" if value else b"false"


def array(parts: Iterable[bytes]) -> bytes:
    """A JSON array of JSON bytes."""
    return b"[" + b",".join(parts) + b"]"


def pair(key: str, value: bytes) -> bytes:
    return b'{"key":' + _encode(key) + b',"value":' + value + b"}"


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
