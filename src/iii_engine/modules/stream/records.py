"""Changes of items inside a transaction of the store, and the events that follow from them."""

from __future__ import annotations

from msgspec import Struct

from iii_engine.core import stream_messages
from iii_engine.core.router import Call
from iii_engine.core.stream_messages import Event
from iii_engine.modules.records.answers import NULL, written
from iii_engine.modules.records.damaged import read_replaced, read_value
from iii_engine.modules.records.update import update
from iii_engine.modules.stream.requests import (
    DeleteRequest,
    ItemRequest,
    SetRequest,
    UpdateRequest,
)
from iii_engine.modules.stream.spaces import space_of
from iii_engine.storage.base import Transaction
from iii_sdk.errors import BusError


class Change(Struct, frozen=True, gc=False):
    """An item before and after; None where there is none. `happened` is False when nothing was
    written."""

    stream: str
    group: str
    item: str
    old: bytes | None
    new: bytes | None
    happened: bool
    answer: bytes


def set_item(transaction: Transaction, request: SetRequest) -> Change:
    """Insert or replace."""
    space, key = space_of(request.stream_name, request.group_id), request.item_id
    old, new = read_replaced(transaction, space, key), bytes(request.data)
    transaction.put(space, key, new)
    return _change(request, old, new, True, written(old, new))


def delete_item(transaction: Transaction, request: DeleteRequest) -> Change:
    """Remove, if it is there."""
    space, key = space_of(request.stream_name, request.group_id), request.item_id
    old = read_replaced(transaction, space, key)
    if old is not None:
        transaction.delete(space, key)
    return _change(request, old, None, old is not None, b'{"old_value":' + (old or NULL) + b"}")


def update_item(transaction: Transaction, request: UpdateRequest) -> Change:
    """Apply operations; those that fail are reported, and nothing is written when all do."""
    ops = request.operations if request.ops is None else request.ops
    if ops is None:
        raise BusError(
            "Failed to deserialize input for stream::update: Object missing required field `ops`",
            code="deserialization_error",
        )
    space, key = space_of(request.stream_name, request.group_id), request.item_id
    old = read_value(transaction, space, key)
    done = update(transaction, space, key, old, ops)
    return _change(request, old, done.new, done.changed, written(old, done.new, *done.members))


def _change(
    request: ItemRequest, old: bytes | None, new: bytes | None, happened: bool, answer: bytes
) -> Change:
    return Change(
        request.stream_name, request.group_id, request.item_id, old, new, happened, answer
    )


def event_of(change: Change, cause: Call, timestamp_ms: int) -> Event | None:
    """What subscribers are told, None when nothing happened."""
    if not change.happened:
        return None
    if change.new is None:
        body = stream_messages.changed("delete", change.old or NULL)
    else:
        body = stream_messages.changed("create" if change.old is None else "update", change.new)
    return Event(
        stream=change.stream,
        group=change.group,
        item=change.item,
        body=body,
        traceparent=cause.traceparent,
        baggage=cause.baggage,
        timestamp_ms=timestamp_ms,
    )
