"""Reading items: one, those of a group, and which groups and streams there are."""

from __future__ import annotations

import msgspec

from iii_engine.core.stream_messages import Wanted
from iii_engine.modules.records.answers import NULL, array
from iii_engine.modules.stream.answers import AllStreams, Groups
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
    return transaction.get(space_of(request.stream_name, request.group_id), request.item_id) or NULL


def items(transaction: Transaction, request: GroupRequest) -> bytes:
    """The values of a group in insertion order."""
    found = transaction.items(space_of(request.stream_name, request.group_id))
    return array(value for _, value in found)


def wanted(transaction: Transaction, request: Wanted) -> bytes:
    """What a subscription begins with."""
    space = space_of(request.stream_name, request.group_id)
    if request.id is not None:
        return transaction.get(space, request.id) or NULL
    return array(value for _, value in transaction.items(space))


def groups(transaction: Transaction, request: StreamRequest) -> bytes:
    """The groups of a stream that have items, sorted."""
    prefix = prefix_of(request.stream_name)
    return msgspec.json.encode([space[len(prefix) :] for space in transaction.spaces(prefix)])


def streams(transaction: Transaction, request: ListAllRequest) -> bytes:
    """All streams that have items, sorted, with their groups."""
    found: dict[str, list[str]] = {}
    for space in transaction.spaces(PREFIX):
        stream, group = names_of(space)
        found.setdefault(stream, []).append(group)
    rows = [Groups(stream, sorted(found[stream])) for stream in sorted(found)]
    return msgspec.json.encode(AllStreams(rows, len(rows)))
