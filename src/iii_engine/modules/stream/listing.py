"""Reading items: one, those of a group, and which groups and streams there are."""

from __future__ import annotations

from msgspec.json import encode

from iii_engine.core.stream_messages import Wanted
from iii_engine.core.turns import Pieces
from iii_engine.modules.pieces import array, paced
from iii_engine.modules.records.answers import NULL
from iii_engine.modules.records.damaged import legible, read_value
from iii_engine.modules.stream.answers import Groups
from iii_engine.modules.stream.requests import (
    GroupRequest,
    ItemRequest,
    ListAllRequest,
    StreamRequest,
)
from iii_engine.modules.stream.spaces import PREFIX, names_of, prefix_of, space_of
from iii_engine.storage.base import Transaction


def item(transaction: Transaction, request: ItemRequest) -> bytes:
    """The value, or null."""
    space = space_of(request.stream_name, request.group_id)
    return read_value(transaction, space, request.item_id) or NULL


def items(transaction: Transaction, request: GroupRequest) -> Pieces[bytes]:
    """The values of a group in insertion order."""
    return _values(transaction, space_of(request.stream_name, request.group_id))


def wanted(transaction: Transaction, request: Wanted) -> Pieces[bytes]:
    """What a subscription begins with."""
    space = space_of(request.stream_name, request.group_id)
    if request.id is not None:
        return read_value(transaction, space, request.id) or NULL
    values = yield from _values(transaction, space)
    return values


def _values(transaction: Transaction, space: str) -> Pieces[bytes]:
    return array(
        value
        for key, value in transaction.items(space)
        if value.isascii() or legible(space, key, value)
    )


def groups(transaction: Transaction, request: StreamRequest) -> Pieces[bytes]:
    """The groups of a stream that have items, sorted."""
    prefix = prefix_of(request.stream_name)
    return array(encode(space[len(prefix) :]) for space in transaction.names(prefix))


def streams(transaction: Transaction, request: ListAllRequest) -> Pieces[bytes]:
    """All streams that have items, sorted, with their groups."""
    found: dict[str, list[str]] = {}
    for space in paced(transaction.names(PREFIX)):
        if space is None:
            yield
            continue
        stream, group = names_of(space)
        found.setdefault(stream, []).append(group)
    # Spaces come sorted, and so do the groups of each stream.
    rows = (encode(Groups(stream, found[stream])) for stream in sorted(found))
    answer = yield from array(rows, head=b'{"stream":[', tail=b'],"count":%d}' % len(found))
    return answer
