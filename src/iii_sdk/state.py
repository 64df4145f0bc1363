"""The state of the system, typed: `bus.state` and the operations of atomic updates.

A value is changed by operations and conditions (`expect`), never by reading it, changing the copy
and writing it back: two workers doing so at once would lose one change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, overload

from msgspec import Struct

T = TypeVar("T")

#: One operation in wire form.
Op: TypeAlias = Mapping[str, object]
#: `State` has methods of the names `list` and `set`.
Rows: TypeAlias = list


def set_(path: str, value: object) -> Op:
    """Set a first-level field; the path "" is the whole value."""
    return {"type": "set", "path": path, "value": value}


def increment(path: str, by: float = 1) -> Op:
    return {"type": "increment", "path": path, "by": by}


def decrement(path: str, by: float = 1) -> Op:
    return {"type": "decrement", "path": path, "by": by}


def append(path: str, value: object) -> Op:
    """Append to a list. A missing field becomes a list, unless `value` is a string: start with
    `set_(path, [])` then."""
    return {"type": "append", "path": path, "value": value}


def merge(value: Mapping[str, object], path: str | Sequence[str] | None = None) -> Op:
    """Merge an object into the value, or into the object at `path`."""
    op: dict[str, object] = {"type": "merge", "value": value}
    if path is not None:
        op["path"] = path
    return op


def remove(path: str) -> Op:
    return {"type": "remove", "path": path}


class OpError(Struct):
    """An operation that could not be applied."""

    op_index: int
    code: str
    message: str = ""


class Written(Struct):
    """`set` is only told with `if_absent`, `applied` only with `expect`."""

    old_value: Any = None
    new_value: Any = None
    set: bool = True
    applied: bool = True


class Updated(Struct):
    """`applied` is False when `expect` did not hold; then `old_value` is what is there."""

    old_value: Any = None
    new_value: Any = None
    errors: list[OpError] = []
    applied: bool = True


class Transacted(Struct):
    """All or nothing; `failed_index` names the operation whose `expect` did not hold."""

    applied: bool
    results: list[Any] = []
    failed_index: int | None = None


class _Groups(Struct):
    groups: list[str]


class _Keys(Struct):
    keys: list[str]


class _Item(Struct, Generic[T]):
    key: str
    value: T


#: `Bus.call`.
Caller: TypeAlias = Callable[..., Awaitable[Any]]


class State:
    """Values by scope and key. Errors are `BusError`s of the calls `state::*`."""

    def __init__(self, call: Caller) -> None:
        self._call = call

    @overload
    async def get(self, scope: str, key: str) -> Any: ...
    @overload
    async def get(self, scope: str, key: str, kind: type[T]) -> T | None: ...

    async def get(self, scope: str, key: str, kind: Any = None) -> Any:
        """The value, or None when there is none."""
        optional = None if kind is None else kind | None
        return await self._call("state::get", {"scope": scope, "key": key}, kind=optional)

    async def set(
        self,
        scope: str,
        key: str,
        value: object,
        *,
        if_absent: bool = False,
        expect: Mapping[str, object] | None = None,
    ) -> Written:
        """Write a value. With `if_absent` only where there is none, with `expect` only where the
        named fields have the given values."""
        data: dict[str, object] = {"scope": scope, "key": key, "value": value}
        if if_absent:
            data["if_absent"] = True
        if expect is not None:
            data["expect"] = expect
        written: Written = await self._call("state::set", data, kind=Written)
        return written

    async def delete(
        self, scope: str, key: str, *, expect: Mapping[str, object] | None = None
    ) -> Any:
        """Remove a value and return it; None when there was none. With `expect` the engine's
        answer `{old_value, applied}` is returned as it is."""
        data: dict[str, object] = {"scope": scope, "key": key}
        if expect is not None:
            data["expect"] = expect
        return await self._call("state::delete", data)

    @overload
    async def list(self, scope: str) -> Rows[Any]: ...
    @overload
    async def list(self, scope: str, kind: type[T]) -> Rows[T]: ...

    async def list(self, scope: str, kind: Any = Any) -> Any:
        """All values of a scope in the order of insertion."""
        return await self._call("state::list", {"scope": scope}, kind=list[kind])

    @overload
    async def items(
        self,
        scope: str,
        *,
        prefix: str | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> Rows[tuple[str, Any]]: ...
    @overload
    async def items(
        self,
        scope: str,
        kind: type[T],
        *,
        prefix: str | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> Rows[tuple[str, T]]: ...

    async def items(
        self,
        scope: str,
        kind: Any = Any,
        *,
        prefix: str | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> Any:
        """Pairs of key and value, of keys that begin with `prefix`, in the order of insertion."""
        data: dict[str, object] = {"scope": scope, "include_keys": True}
        for name, given in (("prefix", prefix), ("offset", offset), ("limit", limit)):
            if given is not None:
                data[name] = given
        rows = await self._call("state::list", data, kind=list[_Item[kind]])
        return [(row.key, row.value) for row in rows]

    async def keys(self, scope: str) -> Sequence[str]:
        found: _Keys = await self._call("state::list_keys", {"scope": scope}, kind=_Keys)
        return found.keys

    async def update(
        self,
        scope: str,
        key: str,
        ops: Sequence[Op],
        *,
        expect: Mapping[str, object] | None = None,
    ) -> Updated:
        """Apply operations in one atomic step, with `expect` only where the fields match."""
        data: dict[str, object] = {"scope": scope, "key": key, "ops": ops}
        if expect is not None:
            data["expect"] = expect
        updated: Updated = await self._call("state::update", data, kind=Updated)
        return updated

    async def transact(self, ops: Sequence[Op]) -> Transacted:
        """Apply up to 128 writes `{op, scope, key, …, expect?}` together or not at all."""
        done: Transacted = await self._call("state::transact", {"ops": ops}, kind=Transacted)
        return done

    async def groups(self) -> Sequence[str]:
        """All scopes, sorted."""
        found: _Groups = await self._call("state::list_groups", {}, kind=_Groups)
        return found.groups
