"""The operations of `state::update` and `stream::update`, as programs write them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from iii_sdk.compat.messages import Model

#: Where a merge happens: a first-level key, or the keys on the way down.
MergePath: TypeAlias = str | list[str]


class UpdateSet(Model):
    """Set a field; the path `""` is the whole value."""

    path: str
    value: Any
    type: Literal["set"] = "set"


class UpdateIncrement(Model):
    """Add to a number."""

    path: str
    by: int | float
    type: Literal["increment"] = "increment"


class UpdateDecrement(Model):
    """Take from a number."""

    path: str
    by: int | float
    type: Literal["decrement"] = "decrement"


class UpdateAppend(Model):
    """Put a value at the end of an array, or text behind a text."""

    path: str
    value: Any
    type: Literal["append"] = "append"


class UpdateRemove(Model):
    """Take a field out."""

    path: str
    type: Literal["remove"] = "remove"


class UpdateMerge(Model):
    """Set the fields of an object; without a path those of the value itself."""

    value: Any
    path: MergePath | None = None
    type: Literal["merge"] = "merge"


UpdateOp: TypeAlias = (
    UpdateSet | UpdateIncrement | UpdateDecrement | UpdateAppend | UpdateRemove | UpdateMerge
)


class UpdateOpError(Model):
    """Why one operation of an update was skipped."""

    op_index: int
    code: str
    message: str
    doc_url: str | None = None
