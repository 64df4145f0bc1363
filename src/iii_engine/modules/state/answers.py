"""What the functions of `iii-state` answer. Records are carried as the bytes they are stored as."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from iii_engine.modules.records.answers import Written

_encode = msgspec.json.encode


class Changed(Written):
    """Schema of the answer to a change. `applied` comes with `expect`, `set` with `if_absent`."""

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


def pair(key: str, value: bytes) -> bytes:
    return b'{"key":' + _encode(key) + b',"value":' + value + b"}"
