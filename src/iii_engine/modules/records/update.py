"""Changing a stored record by operations, inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from iii_engine.core.updates import MISSING, Op, OpError, apply
from iii_engine.storage.base import Transaction
from iii_sdk.protocol import tolerant_raw, tolerant_value


class Update(Struct, frozen=True, gc=False):
    """The record afterwards, None where there is none. `changed` is False when all failed."""

    new: bytes | None
    changed: bool
    errors: list[OpError]

    @property
    def members(self) -> tuple[bytes, ...]:
        """What an answer says beside old and new value."""
        return (b'"errors":' + msgspec.json.encode(self.errors),) if self.errors else ()


def update(
    transaction: Transaction, space: str, key: str, old: bytes | None, ops: Iterable[Op]
) -> Update:
    """Apply operations to the record `old`; nothing is written when all of them fail."""
    outcome = apply(MISSING if old is None else decoded(old), ops)
    if not outcome.changed:
        return Update(old, False, outcome.errors)
    new = encoded(outcome.value)
    transaction.put(space, key, new)
    return Update(new, True, outcome.errors)


def decoded(record: bytes) -> object:
    """The value of stored JSON, read as tolerantly as the bus carries it."""
    try:
        return msgspec.json.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return tolerant_value(record)


def encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return bytes(tolerant_raw(value))
