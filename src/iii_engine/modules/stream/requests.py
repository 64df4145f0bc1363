"""What the functions of `iii-stream` are called with."""

from __future__ import annotations

from msgspec import Raw, Struct, field

from iii_engine.core.updates import Op
from iii_engine.modules.bounds import Key
from iii_sdk.protocol import NULL


class StreamRequest(Struct):
    """A stream by its name."""

    #: Which stream.
    stream_name: str


class GroupRequest(StreamRequest):
    """A group of a stream."""

    #: Which group of it.
    group_id: str


class ItemRequest(GroupRequest):
    """An item of a group."""

    #: Which item of the group.
    item_id: str


class NamedRequest(ItemRequest):
    """An item that may come to be."""

    #: Which stream.
    stream_name: Key
    #: Which group of it.
    group_id: Key
    #: Which item of the group.
    item_id: Key


class SetRequest(NamedRequest):
    """The value of an item: any JSON."""

    #: The value.
    data: Raw


class DeleteRequest(ItemRequest):
    """The item that is to go."""


class UpdateRequest(NamedRequest):
    """`operations` is another name of `ops`."""

    #: What to do, in order.
    ops: list[Op] | None = None
    #: The same under its other name.
    operations: list[Op] | None = None


class SendRequest(GroupRequest):
    """An event for those who watch a group, or with `id` an item; nothing is stored."""

    #: What kind of event it is.
    type: str
    #: What it says.
    data: Raw = field(default_factory=lambda: NULL)
    #: The item that it is about.
    id: str | None = None
    #: The engine that sends it has published it on the topic `stream.events` already.
    published: bool = False


class ListAllRequest(Struct):
    """Nothing to say."""
