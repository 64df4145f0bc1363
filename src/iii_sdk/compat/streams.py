"""Streams that a worker keeps itself, and the models around streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

from msgspec import field

from iii_sdk.compat.messages import Model

T = TypeVar("T")


class StreamGetInput(Model):
    stream_name: str
    group_id: str
    item_id: str


class StreamSetInput(Model):
    stream_name: str
    group_id: str
    item_id: str
    data: Any = None


class StreamDeleteInput(Model):
    stream_name: str
    group_id: str
    item_id: str


class StreamListInput(Model):
    stream_name: str
    group_id: str


class StreamListGroupsInput(Model):
    stream_name: str


class StreamUpdateInput(Model):
    stream_name: str
    group_id: str
    item_id: str
    ops: list[dict[str, Any]] = field(default_factory=list)


class StreamSetResult(Model, Generic[T]):
    new_value: T
    old_value: T | None = None


class StreamUpdateResult(Model, Generic[T]):
    new_value: T
    old_value: T | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)


class StreamDeleteResult(Model):
    old_value: Any = None


class StreamAuthInput(Model):
    """What a function that authenticates subscribers of streams gets."""

    headers: dict[str, str]
    path: str
    query_params: dict[str, list[str]]
    addr: str


class StreamAuthResult(Model):
    context: Any = None


class StreamJoinLeaveEvent(Model):
    """Payload of `stream:join` and `stream:leave` triggers."""

    subscription_id: str
    stream_name: str
    group_id: str
    id: str | None = None
    context: Any = None


class StreamJoinResult(Model):
    unauthorized: bool


class StreamTriggerConfig(Model, omit_defaults=True):
    stream_name: str
    group_id: str | None = None
    item_id: str | None = None
    condition_function_id: str | None = None


class StreamJoinLeaveTriggerConfig(Model, omit_defaults=True):
    stream_name: str | None = None
    condition_function_id: str | None = None


class StreamChangeEventDetail(Model):
    type: Literal["create", "update", "delete"]
    data: Any = None


class StreamChangeEvent(Model):
    """Payload of `stream` triggers."""

    type: Literal["stream"]
    timestamp: int
    stream_name: str = field(name="streamName")
    group_id: str = field(name="groupId")
    event: StreamChangeEventDetail
    id: str | None = None


#: What the subscriber was admitted with.
StreamContext = Any


class IStream(ABC, Generic[T]):
    """A stream whose items this worker keeps. The engine asks it instead of its own store."""

    @abstractmethod
    async def get(self, input: StreamGetInput) -> T | None: ...

    @abstractmethod
    async def set(self, input: StreamSetInput) -> StreamSetResult[T] | None: ...

    @abstractmethod
    async def delete(self, input: StreamDeleteInput) -> StreamDeleteResult: ...

    @abstractmethod
    async def list_groups(self, input: StreamListGroupsInput) -> list[str]: ...

    async def update(self, input: StreamUpdateInput) -> StreamUpdateResult[T] | None:
        """Never called: the engine updates atomically by itself. Kept for programs that have it."""
        raise NotImplementedError

    @abstractmethod
    async def list(self, input: StreamListInput) -> list[T]: ...


def stream_functions(name: str, stream: IStream[Any]) -> dict[str, Callable[..., Any]]:
    """The functions by which the engine uses a stream."""

    async def get(data: StreamGetInput) -> Any:
        return await stream.get(data)

    async def set(data: StreamSetInput) -> Any:
        return await stream.set(data)

    async def delete(data: StreamDeleteInput) -> Any:
        return await stream.delete(data)

    async def list(data: StreamListInput) -> Any:
        return await stream.list(data)

    async def list_groups(data: StreamListGroupsInput) -> Any:
        return await stream.list_groups(data)

    functions = (get, set, delete, list, list_groups)
    return {f"stream::{function.__name__}({name})": function for function in functions}
