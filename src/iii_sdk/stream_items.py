"""Streams of items that clients watch: `bus.stream`, and streams that a worker keeps itself.

An item has a stream, a group in it, and an id in the group.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar, overload

from msgspec import Struct

from iii_sdk.state import Op, Updated, Written

T = TypeVar("T")

#: `StreamItems` has methods of the names `list` and `set`.
Rows: TypeAlias = list


class ItemRef(Struct):
    """Which item is meant."""

    stream_name: str
    group_id: str
    item_id: str


class NewItem(ItemRef):
    """An item to write."""

    data: Any = None


class GroupRef(Struct):
    """Which group is meant."""

    stream_name: str
    group_id: str


class StreamRef(Struct):
    """Which stream is meant."""

    stream_name: str


class Removed(Struct):
    """What was there; None when nothing was."""

    old_value: Any = None


class Replaced(Struct):
    """What was there, and what is there now."""

    old_value: Any = None
    new_value: Any = None


class StreamStore(ABC):
    """A stream whose items a worker keeps; `Worker.stream` offers it.

    The engine asks it in place of its own store and tells subscribers of every change. Updates by
    operations are the engine's: it applies them to what it keeps itself.
    """

    @abstractmethod
    async def get(self, item: ItemRef) -> Any:
        """The value, None when there is none."""

    @abstractmethod
    async def set(self, item: NewItem) -> Replaced: ...

    @abstractmethod
    async def delete(self, item: ItemRef) -> Removed: ...

    @abstractmethod
    async def list(self, group: GroupRef) -> Sequence[Any]:
        """The values of a group."""

    @abstractmethod
    async def list_groups(self, stream: StreamRef) -> Sequence[str]:
        """The ids of all groups."""

    def functions(self, name: str) -> dict[str, Callable[..., Awaitable[Any]]]:
        """The functions by which the engine uses the stream `name`, by their ids."""
        operations = (self.get, self.set, self.delete, self.list, self.list_groups)
        return {f"stream::{operation.__name__}({name})": operation for operation in operations}


class _Streams(Struct):
    stream: list[dict[str, Any]]


class StreamItems:
    """Items of streams. Errors are `BusError`s of the calls `stream::*`."""

    def __init__(self, call: Callable[..., Awaitable[Any]]) -> None:
        self._call = call

    @overload
    async def get(self, stream: str, group: str, item: str) -> Any: ...
    @overload
    async def get(self, stream: str, group: str, item: str, kind: type[T]) -> T | None: ...

    async def get(self, stream: str, group: str, item: str, kind: Any = None) -> Any:
        """The value, or None when there is none."""
        optional = None if kind is None else kind | None
        return await self._call("stream::get", ItemRef(stream, group, item), kind=optional)

    async def set(self, stream: str, group: str, item: str, data: object) -> Written:
        """Write an item; those who watch it are told."""
        written: Written = await self._call(
            "stream::set", NewItem(stream, group, item, data), kind=Written
        )
        return written

    async def update(self, stream: str, group: str, item: str, ops: Sequence[Op]) -> Updated:
        """Apply operations (`iii_sdk.state`) in one atomic step."""
        data = {"stream_name": stream, "group_id": group, "item_id": item, "ops": ops}
        updated: Updated = await self._call("stream::update", data, kind=Updated)
        return updated

    async def delete(self, stream: str, group: str, item: str) -> Any:
        """Remove an item and return it; None when there was none."""
        removed: Removed = await self._call(
            "stream::delete", ItemRef(stream, group, item), kind=Removed
        )
        return removed.old_value

    @overload
    async def list(self, stream: str, group: str) -> Rows[Any]: ...
    @overload
    async def list(self, stream: str, group: str, kind: type[T]) -> Rows[T]: ...

    async def list(self, stream: str, group: str, kind: Any = Any) -> Any:
        """All values of a group."""
        return await self._call("stream::list", GroupRef(stream, group), kind=list[kind])

    async def groups(self, stream: str) -> Sequence[str]:
        """The ids of all groups of a stream."""
        found: Rows[str] = await self._call(
            "stream::list_groups", StreamRef(stream), kind=list[str]
        )
        return found

    async def names(self) -> Sequence[str]:
        """The names of all streams, sorted."""
        found: _Streams = await self._call("stream::list_all", {}, kind=_Streams)
        return [row["id"] for row in found.stream]

    async def send(
        self, stream: str, group: str, event: str, data: object = None, *, item: str | None = None
    ) -> None:
        """Tell those who watch a group, or one item, of an event; nothing is stored."""
        message: dict[str, object] = {
            "stream_name": stream,
            "group_id": group,
            "type": event,
            "data": data,
        }
        if item is not None:
            message["id"] = item
        await self._call("stream::send", message)
