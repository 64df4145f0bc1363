"""Reading records: one, those of a scope, and which scopes there are."""

from __future__ import annotations

from msgspec.json import encode

from iii_engine.core.turns import Pieces
from iii_engine.modules.pieces import array
from iii_engine.modules.records.damaged import legible, read_value
from iii_engine.modules.state.answers import pair
from iii_engine.modules.state.records import PREFIX, space_of
from iii_engine.modules.state.requests import (
    ListGroupsRequest,
    ListRequest,
    RecordRequest,
    ScopeRequest,
)
from iii_engine.storage.base import Transaction


def get(transaction: Transaction, request: RecordRequest) -> bytes:
    """The record, or null."""
    return read_value(transaction, space_of(request.scope), request.key) or b"null"


def values(transaction: Transaction, request: ListRequest) -> Pieces[bytes]:
    """The values of a scope in insertion order, with their keys when asked for."""
    space = space_of(request.scope)
    items = transaction.items(
        space, prefix=request.prefix, limit=request.limit, offset=request.offset
    )
    if request.include_keys:
        return array(
            pair(key, value)
            for key, value in items
            if value.isascii() or legible(space, key, value)
        )
    return array(value for key, value in items if value.isascii() or legible(space, key, value))


def keys(transaction: Transaction, request: ScopeRequest) -> Pieces[bytes]:
    """The keys of a scope in insertion order."""
    items = transaction.items(space_of(request.scope))
    return array((encode(key) for key, _ in items), head=b'{"keys":[', tail=b"]}")


def groups(transaction: Transaction, request: ListGroupsRequest) -> Pieces[bytes]:
    """All scopes that have records."""
    scopes = (encode(space[len(PREFIX) :]) for space in transaction.names(PREFIX))
    return array(scopes, head=b'{"groups":[', tail=b"]}")
