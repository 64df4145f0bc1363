"""Attributes as OTLP has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from iii_engine.modules.observability.export.messages import (
    AnyValue,
    ArrayValue,
    KeyValue,
    KeyValueList,
    Resource,
)

_INT64 = range(-(1 << 63), 1 << 63)


def any_value(value: object) -> AnyValue:
    """A JSON value. What is none, and integers that need more than 64 bits, become text."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int() if value in _INT64:
            return AnyValue(int_value=str(value))
        case float():
            return AnyValue(double_value=value)
        case list() | tuple():
            return AnyValue(array_value=ArrayValue([any_value(item) for item in value]))
        case dict():
            pairs = ((str(key), item) for key, item in value.items())
            return AnyValue(kvlist_value=KeyValueList(key_values(pairs)))
        case _:
            return AnyValue(string_value=str(value))


def key_values(pairs: Iterable[tuple[str, object]]) -> list[KeyValue]:
    return [KeyValue(key, any_value(value)) for key, value in pairs]


def resource(attributes: Mapping[str, object]) -> Resource:
    return Resource(key_values(attributes.items()))
