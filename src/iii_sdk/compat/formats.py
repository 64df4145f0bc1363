"""JSON Schemas of what a handler takes and returns, read from its annotations."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Union

import msgspec

from iii_sdk.compat.signatures import is_pydantic, type_hints
from iii_sdk.handlers import is_record

DRAFT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_SCALARS = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    None: "null",
}


def extract_request_format(handler: Callable[..., Any]) -> Schema | None:
    """The schema of a handler's first parameter; None when its annotation says nothing."""
    try:
        parameters = list(inspect.signature(handler).parameters)
    except ValueError:
        return None
    kind = type_hints(handler).get(parameters[0], Any) if parameters else Any
    return python_type_to_format(kind)


def extract_response_format(handler: Callable[..., Any]) -> Schema | None:
    """The schema of a handler's result; None when its annotation says nothing."""
    hints = type_hints(handler)
    return python_type_to_format(hints["return"]) if "return" in hints else None


def python_type_to_format(kind: Any) -> Schema | None:
    """The schema of a type; None for `Any`, unions and everything that has none."""
    schema = _schema(kind)
    return None if schema is None else {"$schema": DRAFT, **schema}


def given_format(value: Any) -> Any:
    """A format as the program gave it: a type stands for its schema."""
    if isinstance(value, type):
        return python_type_to_format(value)
    if isinstance(value, msgspec.Struct) or dataclasses.is_dataclass(value):
        return msgspec.to_builtins(value)
    return value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value


def _schema(kind: Any) -> Schema | None:
    if _hashable(kind) and kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    if is_pydantic(kind):
        schema: Schema = kind.model_json_schema()
        return schema
    if is_record(kind):
        return _record(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _optional(arguments)
    if kind is list or origin is list:
        items = _schema(arguments[0]) if arguments else None
        return {"type": "array"} if items is None else {"type": "array", "items": items}
    if kind is dict or origin is dict:
        values = _schema(arguments[1]) if arguments else None
        found: Schema = {"type": "object"}
        return found if values is None else {**found, "additionalProperties": values}
    return None


def _optional(arguments: tuple[Any, ...]) -> Schema | None:
    """`X | None`; other unions have no schema."""
    others = [part for part in arguments if part is not type(None)]
    schema = _schema(others[0]) if len(others) == 1 and len(arguments) == 2 else None
    if schema is None or not isinstance(schema.get("type"), str):
        return None
    return {**schema, "type": [schema["type"], "null"]}


def _record(kind: Any) -> Schema | None:
    """A dataclass, Struct or TypedDict, with the types it mentions beside it."""
    try:
        schema: Schema = msgspec.json.schema(kind)
    except TypeError:  # a field of a type that JSON Schema cannot say
        return {"type": "object"}
    return schema


def _hashable(kind: Any) -> bool:
    try:
        hash(kind)
    except TypeError:
        return False
    return True
