"""What the functions of `iii-stream` are called with."""

from __future__ import annotations

from msgspec import Raw, Struct

from iii_engine.core.updates import Op
from iii_sdk.protocol import NULL


class StreamRequest(Struct):
    """A stream by its name."""

    stream_name: str


class GroupRequest(StreamRequest):
    """A group of a stream."""

    group_id: str


class ItemRequest(GroupRequest):
    """An item of a group."""

    item_id: str


class SetRequest(ItemRequest):
    """The value of an item: any JSON."""

    data: Raw


class DeleteRequest(ItemRequest):
    """The item that is to go."""


class UpdateRequest(ItemRequest):
    """`operations` is another name of `ops`."""

    ops: list[Op] | None = None
    operations: list[Op] | None = None


class SendRequest(GroupRequest):
    """An event for those who watch a group, or with `id` an item; nothing is stored."""

    type: str
    data: Raw = NULL
    id: str | None = None


class ListAllRequest(Struct):
    """Nothing to say."""
