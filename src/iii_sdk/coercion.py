"""Strings from query and path, as the values their fields are declared to hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect as types

#: Types that JSON writes as strings: such a field keeps the text.
_TEXT = (
    types.StrType,
    types.DateTimeType,
    types.DateType,
    types.TimeType,
    types.TimeDeltaType,
    types.UUIDType,
    types.DecimalType,
    types.BytesType,
    types.AnyType,
)
_NESTED = (
    types.ListType,
    types.SetType,
    types.FrozenSetType,
    types.VarTupleType,
    types.TupleType,
    types.DictType,
    types.StructType,
    types.DataclassType,
    types.TypedDictType,
)


class Coercion:
    """Reads strings for the fields of a record. A string that does not fit is left as it is, for
    the validation to name its field."""

    def __init__(self, kind: Any) -> None:
        info = types.type_info(kind)
        fields = getattr(info, "fields", ())
        self._fields: dict[str, types.Type] = {f.encode_name: f.type for f in fields}

    def declares(self, name: str) -> bool:
        return name in self._fields

    def apply(self, values: Mapping[str, str]) -> dict[str, object]:
        return {
            name: _coerced(text, self._fields[name]) if name in self._fields else text
            for name, text in values.items()
        }


def _coerced(text: str, kind: types.Type) -> object:
    options = kind.types if isinstance(kind, types.UnionType) else (kind,)
    if any(_is_text(option) for option in options):
        return text
    if any(isinstance(option, types.BoolType) for option in options):
        flag = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
        if flag is not None:
            return flag
    if any(isinstance(option, types.NoneType) for option in options) and text in ("", "null"):
        return None
    if not any(isinstance(option, _NESTED) for option in options):
        return _number(text)
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _number(text: str) -> object:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _is_text(kind: types.Type) -> bool:
    if isinstance(kind, types.LiteralType):
        return any(isinstance(value, str) for value in kind.values)
    if isinstance(kind, types.EnumType):
        return any(isinstance(member.value, str) for member in kind.cls)
    return isinstance(kind, _TEXT)
