"""What the functions of `iii-state` are called with."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Raw, Struct, field

from iii_engine.core.updates import JSON, Op
from iii_engine.modules.bounds import Key

#: A record is only touched when these first-level fields of it have these values.
Expectation: TypeAlias = dict[str, JSON]

Natural: TypeAlias = Annotated[int, Meta(ge=0)]

ABSENT = Raw()


class RecordRequest(Struct):
    """A record by its name."""

    scope: str
    key: str


class NamedRequest(RecordRequest):
    """A record that may come to be."""

    scope: Key
    key: Key


class SetRequest(NamedRequest):
    """`data` is another name of `value`. `if_absent` keeps a record that is there."""

    value: Raw = field(default_factory=Raw)
    data: Raw = field(default_factory=Raw)
    if_absent: bool = False
    expect: Expectation | None = None


class DeleteRequest(RecordRequest):
    expect: Expectation | None = None


class UpdateRequest(NamedRequest):
    """`operations` is another name of `ops`."""

    ops: list[Op] | None = None
    operations: list[Op] | None = None
    expect: Expectation | None = None


class SetEntry(SetRequest, tag_field="op", tag="set"):
    """A `state::set` inside a transaction."""


class UpdateEntry(UpdateRequest, tag_field="op", tag="update"):
    """A `state::update` inside a transaction."""


class DeleteEntry(DeleteRequest, tag_field="op", tag="delete"):
    """A `state::delete` inside a transaction."""


Entry: TypeAlias = SetEntry | UpdateEntry | DeleteEntry


class TransactRequest(Struct):
    """Changes that happen together or not at all."""

    ops: Annotated[list[Entry], Meta(max_length=128)]


class ScopeRequest(Struct):
    """A scope by its name."""

    scope: str


class ListRequest(ScopeRequest):
    """`prefix` selects keys; `limit` and `offset` count records in insertion order."""

    include_keys: bool = False
    prefix: str = ""
    limit: Natural | None = None
    offset: Natural = 0


class ListGroupsRequest(Struct):
    """Nothing to say."""
