"""What the functions of `iii-kv` are called with, and what they do inside a transaction."""

from __future__ import annotations

from msgspec import Raw, Struct
from msgspec.json import encode

from iii_engine.core.turns import Pieces
from iii_engine.core.updates import Op
from iii_engine.modules.bounds import Key
from iii_engine.modules.pieces import array
from iii_engine.modules.records.answers import NULL, written
from iii_engine.modules.records.update import update
from iii_engine.storage.base import Transaction

PREFIX = "kv/"


class EntryRequest(Struct):
    """An entry by its index and key."""

    index: str
    key: str

    @property
    def space(self) -> str:
        return PREFIX + self.index


class NamedRequest(EntryRequest):
    """An entry that may come to be."""

    index: Key
    key: Key


class SetRequest(NamedRequest):
    value: Raw


class UpdateRequest(NamedRequest):
    ops: list[Op]


class IndexRequest(Struct):
    """All entries of an index."""

    index: str


class PrefixRequest(Struct):
    """The indexes whose names begin with `prefix`."""

    prefix: str


def get(transaction: Transaction, request: EntryRequest) -> bytes:
    return transaction.get(request.space, request.key) or NULL


def set_entry(transaction: Transaction, request: SetRequest) -> bytes:
    value = bytes(request.value)
    old = transaction.get(request.space, request.key)
    transaction.put(request.space, request.key, value)
    return written(old, value)


def delete(transaction: Transaction, request: EntryRequest) -> bytes:
    old = transaction.get(request.space, request.key)
    transaction.delete(request.space, request.key)
    return b'{"old_value":' + (old or NULL) + b"}"


def update_entry(transaction: Transaction, request: UpdateRequest) -> bytes:
    old = transaction.get(request.space, request.key)
    done = update(transaction, request.space, request.key, old, request.ops)
    return written(old, done.new, *done.members)


def values(transaction: Transaction, request: IndexRequest) -> Pieces[bytes]:
    return array(value for _, value in transaction.items(PREFIX + request.index))


def indexes(transaction: Transaction, request: PrefixRequest) -> Pieces[bytes]:
    spaces = transaction.names(PREFIX + request.prefix)
    return array(encode(space[len(PREFIX) :]) for space in spaces)
