"""The models around the state functions."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

from msgspec import field

from iii_sdk.compat.messages import Model
from iii_sdk.compat.updates import UpdateOp, UpdateOpError

T = TypeVar("T")


class StateEventType(StrEnum):
    """What happened to a record."""

    CREATED = "state:created"
    UPDATED = "state:updated"
    DELETED = "state:deleted"


class StateGetInput(Model):
    scope: str
    key: str


class StateSetInput(Model):
    scope: str
    key: str
    value: Any


class StateDeleteInput(Model):
    scope: str
    key: str


class StateListInput(Model):
    scope: str


class StateUpdateInput(Model):
    scope: str
    key: str
    ops: list[UpdateOp]


class StateSetResult(Model, Generic[T]):
    new_value: T
    old_value: T | None = None


class StateUpdateResult(Model, Generic[T]):
    new_value: T
    old_value: T | None = None
    errors: list[UpdateOpError] = field(default_factory=list)


class StateDeleteResult(Model):
    """Kept for programs that name it; `state::delete` returns the removed value itself."""

    old_value: Any = None


class StateEventData(Model, Generic[T]):
    """Payload of `state` triggers."""

    event_type: StateEventType
    scope: str
    key: str
    old_value: T | None = None
    new_value: T | None = None
    type: Literal["state"] = "state"
