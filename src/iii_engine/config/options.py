"""A module's options, checked: unknown keys and wrong types are named by their dotted path."""

from __future__ import annotations

import re
import typing
from types import UnionType
from typing import TypeVar

import msgspec
from msgspec import Struct

from iii_engine.config.entries import Entry, quoted
from iii_engine.config.errors import ConfigError

if typing.TYPE_CHECKING:
    from iii_engine.config.document import Value

Options = TypeVar("Options", bound=Struct)

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_TYPE = re.compile(r"Expected `(.*?)`, got `(.*?)`", re.DOTALL)
_AT = re.compile(r"^(.*?)(?: - at `\$?(.*)`)?$", re.DOTALL)
_NAMES = {
    "int": "integer",
    "str": "string",
    "bool": "boolean",
    "array": "list",
    "object": "mapping",
}


def read_options(entry: Entry, kind: type[Options]) -> Options:
    """The options of an entry as the module's Struct; null is as good as absent.

    Raises `ConfigError`.
    """
    config = _without_nulls(entry.config, kind)
    try:
        return msgspec.convert(config, kind)
    except msgspec.ValidationError as error:
        reason = explain(str(error), kind, config)
        raise ConfigError(
            f"failed to create worker '{entry.name}': Failed to create {entry.name}: {reason}"
        ) from None


def _without_nulls(value: Value, annotation: object) -> Value:
    """In a mapping of names to Structs a name with nothing behind it has the defaults."""
    if not isinstance(value, dict):
        return value
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict and _structs(parts[1]):
        return {
            key: {} if item is None else _without_nulls(item, parts[1])
            for key, item in value.items()
        }
    types = {
        field.encode_name: field.type
        for struct in _structs(annotation)
        for field in msgspec.structs.fields(struct)
    }
    return {
        key: _without_nulls(item, types.get(key)) for key, item in value.items() if item is not None
    }


def explain(message: str, kind: type[Struct], config: Value) -> str:
    """A message of msgspec in the words of the config file, with the path `config.a.b`."""
    match = _AT.match(message)
    assert match is not None
    problem, path = match[1], match[2] or ""
    where = f"config{_named(path, message, kind, config)}: "
    if unknown := _UNKNOWN.fullmatch(problem):
        fields = quoted(_fields(kind, path))
        return f"{where if path else ''}unknown field `{unknown[1]}`, expected one of {fields}"
    if wrong := _TYPE.fullmatch(problem):
        return f"{where}invalid type: {_words(wrong[2])}, expected {_words(wrong[1])}"
    allowed = _choices(_annotation(kind, path)) if problem.startswith("Invalid enum") else []
    expected = f", expected one of {quoted(allowed)}" if allowed else ""
    return where + problem[:1].lower() + problem[1:] + expected


def _named(path: str, message: str, kind: type[Struct], config: Value) -> str:
    """The path with the key of the wrong entry where msgspec writes `[...]`, for any entry of a
    mapping: the first one with which alone the message is the same."""
    first, *rest = path.split("[...]")
    named, keys = first, _keys(first)
    for part in rest:
        wrong = (key for key in _at(config, keys) if _alone(config, keys, key, kind) == message)
        key = next(wrong, "*")
        named += f".{key}{part}"
        keys += [key, *_keys(part)]
    return named


def _keys(path: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", path)


def _at(config: Value, keys: list[str]) -> dict[str, Value]:
    """The mapping there; an empty one where there is none."""
    for key in keys:
        match config:
            case dict():
                config = config.get(key)
            case list():
                config = config[int(key)]
    return config if isinstance(config, dict) else {}


def _alone(config: Value, keys: list[str], key: str, kind: type[Struct]) -> str:
    """What msgspec says when the mapping at `keys` has one entry only."""
    try:
        msgspec.convert(_replaced(config, keys, {key: _at(config, keys)[key]}), kind)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _replaced(config: Value, keys: list[str], part: Value) -> Value:
    if not keys:
        return part
    first, *rest = keys
    if isinstance(config, list):
        return [_replaced(v, rest, part) if i == int(first) else v for i, v in enumerate(config)]
    assert isinstance(config, dict)
    return {**config, first: _replaced(config[first], rest, part)}


def _words(types: str) -> str:
    return " or ".join(_NAMES.get(name, name) for name in types.split(" | "))


def _fields(kind: type, path: str) -> list[str]:
    """The field names of the Struct at `path` (as msgspec writes it) inside `kind`."""
    found = next(iter(_structs(_annotation(kind, path))), kind)
    return [f.encode_name for f in msgspec.structs.fields(found)]


def _annotation(kind: type, path: str) -> object:
    """The type of the field at `path` inside the Struct `kind`."""
    annotation: object = kind
    for name in re.findall(r"\.(\w+)", path):
        kind = next(iter(_structs(annotation)))
        annotation = {f.encode_name: f.type for f in msgspec.structs.fields(kind)}[name]
    return annotation


def _choices(annotation: object) -> list[str]:
    """The values of the `Literal` inside an annotation."""
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return [str(part) for part in parts]
    return [choice for part in parts for choice in _choices(part)]


def _structs(annotation: object) -> list[type[Struct]]:
    """The Struct types inside an annotation such as `list[Rule] | None`."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return [annotation] if issubclass(annotation, Struct) else []
    if isinstance(annotation, UnionType) or typing.get_args(annotation):
        return [kind for part in typing.get_args(annotation) for kind in _structs(part)]
    return []
