"""Update operations: how `state::update` and its relatives change a JSON value.

Pure functions on decoded JSON. An operation that cannot be applied is reported and skipped; the
others still apply. `apply` works on the value it is given: hand it a copy you can spare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final, TypeAlias

from msgspec import UNSET, Struct

from iii_engine.core.update_limits import check_merge_value, check_segments
from iii_engine.core.update_types import Refused, is_number, kind_of

JSON: TypeAlias = Any
"""What decoding JSON gives: dict, list, str, int, float, bool or None."""


class Missing(Enum):
    """The value of a key that does not exist: it acts as `{}` for operations on fields."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


class Op(Struct):
    """One operation. `path` is one literal first-level key, `""` or absent the whole value;
    only `merge` takes a list of keys. `by` may be spelled `value`; null counts as 0."""

    type: str
    path: str | list[str] | None = None
    value: JSON = UNSET
    by: JSON = UNSET

    @property
    def operand(self) -> JSON:
        """The value; an absent one is null."""
        return None if self.value is UNSET else self.value


class OpError(Struct):
    """Why the operation at `op_index` was skipped."""

    op_index: int
    code: str
    message: str


class Outcome(Struct):
    """The value after all operations; `MISSING` when it did not exist and none succeeded."""

    value: JSON | Missing
    errors: list[OpError]
    changed: bool


def apply(current: JSON | Missing, ops: Iterable[Op]) -> Outcome:
    """Apply the operations in order to `current`, which may be changed in place."""
    errors: list[OpError] = []
    value, changed = current, False
    for index, op in enumerate(ops):
        try:
            value = _apply_one(value, op)
            changed = True
        except Refused as refused:
            errors.append(OpError(index, refused.code, refused.message))
    return Outcome(value, errors, changed)


def _apply_one(value: JSON | Missing, op: Op) -> JSON:
    if op.type == "merge":
        return _merge(value, op)
    change = _CHANGES.get(op.type)
    if change is None:
        raise Refused("op.unknown_type", f"unknown operation {op.type!r}")
    if isinstance(op.path, list):
        raise Refused(f"{op.type}.path.not_a_string", f"{op.type} takes one key as its path")
    field = op.path or ""
    if field == "":
        return change(value, op)
    check_segments(op.type, [field])
    target: JSON | Missing = {} if value is MISSING else value
    if not isinstance(target, dict):
        raise Refused(
            f"{op.type}.target_not_object", f"cannot {op.type} a field of {kind_of(target)}"
        )
    if op.type == "remove":
        target.pop(field, None)
    else:
        target[field] = change(target.get(field, MISSING), op)
    return target


# -- operations on one value -------------------------------------------------------------------


def _set(_: JSON | Missing, op: Op) -> JSON:
    return op.operand


def _remove(_: JSON | Missing, op: Op) -> JSON:
    return None


def _increment(current: JSON | Missing, op: Op) -> JSON:
    return _sum(current, op, 1)


def _decrement(current: JSON | Missing, op: Op) -> JSON:
    return _sum(current, op, -1)


def _sum(current: JSON | Missing, op: Op, sign: int) -> int | float:
    by = op.value if op.by is UNSET else op.by
    if by is UNSET:
        raise Refused(f"{op.type}.by.missing", f"{op.type} needs `by`")
    by = 0 if by is None else by
    if not is_number(by):
        raise Refused(f"{op.type}.by.not_number", f"cannot {op.type} by {kind_of(by)}")
    if current is MISSING:
        current = 0
    if not is_number(current):
        raise Refused(f"{op.type}.not_number", f"cannot {op.type} {kind_of(current)}")
    total = current + sign * by
    if not is_number(total):
        raise Refused(f"{op.type}.not_number", f"the result of {op.type} is out of range")
    return total


def _append(current: JSON | Missing, op: Op) -> JSON:
    value = op.operand
    if current is MISSING or current is None:
        return value if isinstance(value, str) else [value]
    if isinstance(current, list):
        current.append(value)
        return current
    if isinstance(current, str) and isinstance(value, str):
        return current + value
    raise Refused("append.type_mismatch", f"cannot append {kind_of(value)} to {kind_of(current)}")


_CHANGES: Final[dict[str, Callable[[JSON | Missing, Op], JSON]]] = {
    "set": _set,
    "remove": _remove,
    "increment": _increment,
    "decrement": _decrement,
    "append": _append,
}


# -- merge -------------------------------------------------------------------------------------


def _merge(value: JSON | Missing, op: Op) -> JSON:
    path = op.path or []
    segments = [path] if isinstance(path, str) else path
    check_segments("merge", segments)
    patch = check_merge_value(op.operand, array=bool(segments))
    if isinstance(patch, dict) and not segments:
        target = {} if value is MISSING else value
        if not isinstance(target, dict):
            raise Refused("merge.target_not_object", f"cannot merge into {kind_of(target)}")
        target.update(patch)
        return target
    if isinstance(patch, list):
        _check_extendable(value, segments)
    root = parent = value if isinstance(value, dict) else {}
    for segment in segments[:-1]:
        parent = _object_at(parent, segment)
    if isinstance(patch, list):
        parent[segments[-1]] = [*(parent.get(segments[-1]) or ()), *patch]
    else:
        _object_at(parent, segments[-1]).update(patch)
    return root


def _object_at(parent: dict[str, JSON], segment: str) -> dict[str, JSON]:
    """The object in a field; anything else there is replaced by an empty one."""
    child = parent.get(segment)
    if not isinstance(child, dict):
        child = parent[segment] = {}
    return child


def _check_extendable(value: JSON | Missing, segments: list[str]) -> None:
    """An array can only extend an array, or start one where there is nothing."""
    for segment in segments:
        if not isinstance(value, dict):
            return
        value = value.get(segment)
    if value is not None and not isinstance(value, list):
        raise Refused("append.type_mismatch", f"cannot extend {kind_of(value)} by an array")
