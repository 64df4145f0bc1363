"""Changes of records inside a transaction of the store."""

from __future__ import annotations

from msgspec import Struct

from iii_engine.core.update_types import same_json
from iii_engine.modules.records.answers import flag, written
from iii_engine.modules.records.damaged import read_replaced, read_value
from iii_engine.modules.records.update import Update, decoded, update
from iii_engine.modules.state.requests import (
    DeleteRequest,
    Expectation,
    RecordRequest,
    SetRequest,
    UpdateRequest,
)
from iii_engine.storage.base import Transaction
from iii_sdk.errors import BusError

PREFIX = "state/"


class Change(Struct, frozen=True, gc=False):
    """A record before and after; None where there is none. `happened` is False when nothing was
    written, `applied` when a condition of the request kept it from that."""

    scope: str
    key: str
    old: bytes | None
    new: bytes | None
    happened: bool
    applied: bool
    answer: bytes


def space_of(scope: str) -> str:
    return PREFIX + scope


def change(transaction: Transaction, request: RecordRequest) -> Change:
    """Do what the request says."""
    match request:
        case SetRequest():
            return set_record(transaction, request)
        case UpdateRequest():
            return update_record(transaction, request)
        case DeleteRequest():
            return delete_record(transaction, request)
    raise TypeError(f"not a change: {request!r}")


def set_record(transaction: Transaction, request: SetRequest) -> Change:
    """Insert or replace."""
    scope, key, space = request.scope, request.key, space_of(request.scope)
    value = bytes(request.value or request.data)
    if not value:
        raise BusError(
            "Failed to deserialize input for state::set: Object missing required field `value`",
            code="deserialization_error",
        )
    old = read_replaced(transaction, space, key)
    if request.expect is None and not request.if_absent:
        transaction.put(space, key, value)
        return Change(scope, key, old, value, True, True, written(old, value))
    applied = (not request.if_absent or old is None) and meets(old, request.expect)
    if applied:
        transaction.put(space, key, value)
    new = value if applied else old
    extra = _applied(request.expect, applied)
    if request.if_absent:
        extra += (b'"set":' + flag(applied),)
    return Change(scope, key, old, new, applied, applied, written(old, new, *extra))


def delete_record(transaction: Transaction, request: DeleteRequest) -> Change:
    """Remove. With `expect` the answer has the form of the other changes."""
    scope, key, space = request.scope, request.key, space_of(request.scope)
    old = read_replaced(transaction, space, key)
    applied = meets(old, request.expect)
    happened = applied and old is not None
    if happened:
        transaction.delete(space, key)
    new = None if applied else old
    if request.expect is None:
        answer = old or b"null"
    else:
        answer = written(old, new, *_applied(request.expect, applied))
    return Change(scope, key, old, new, happened, applied, answer)


def update_record(transaction: Transaction, request: UpdateRequest) -> Change:
    """Apply operations; those that fail are reported, and nothing is written when all do."""
    scope, key, space = request.scope, request.key, space_of(request.scope)
    ops = request.operations if request.ops is None else request.ops
    if ops is None:
        raise BusError(
            "Failed to deserialize input for state::update: Object missing required field `ops`",
            code="deserialization_error",
        )
    old = read_value(transaction, space, key)
    applied = meets(old, request.expect)
    done = update(transaction, space, key, old, ops) if applied else Update(old, False, [])
    answer = written(old, done.new, *_applied(request.expect, applied), *done.members)
    return Change(scope, key, old, done.new, done.changed, applied, answer)


def meets(record: bytes | None, expect: Expectation | None) -> bool:
    """Whether the record has the expected first-level fields; missing ones count as null."""
    if not expect:
        return True
    value = None if record is None else decoded(record)
    fields = value if isinstance(value, dict) else {}
    return all(same_json(fields.get(name), wanted) for name, wanted in expect.items())


def _applied(expect: Expectation | None, applied: bool) -> tuple[bytes, ...]:
    return () if expect is None else (b'"applied":' + flag(applied),)
