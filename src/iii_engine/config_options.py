"""A module's options, checked: unknown keys and wrong types are named by their dotted path."""

from __future__ import annotations

import re
import typing
from types import UnionType
from typing import TypeVar

import msgspec
from msgspec import Struct

from iii_engine.config import Entry, quoted
from iii_engine.config_errors import ConfigError

if typing.TYPE_CHECKING:
    from iii_engine.config_document import Value

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
    try:
        return msgspec.convert(_without_nulls(entry.config), kind)
    except msgspec.ValidationError as error:
        reason = explain(str(error), kind)
        raise ConfigError(
            f"failed to create worker '{entry.name}': Failed to create {entry.name}: {reason}"
        ) from None


def _without_nulls(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def explain(message: str, kind: type[Struct]) -> str:
    """A message of msgspec in the words of the config file, with the path `config.a.b`."""
    match = _AT.match(message)
    assert match is not None
    problem, path = match[1], match[2] or ""
    where = f"config{path}: "
    if unknown := _UNKNOWN.fullmatch(problem):
        fields = quoted(_fields(kind, path))
        return f"{where if path else ''}unknown field `{unknown[1]}`, expected one of {fields}"
    if wrong := _TYPE.fullmatch(problem):
        return f"{where}invalid type: {_words(wrong[2])}, expected {_words(wrong[1])}"
    return where + problem[:1].lower() + problem[1:]


def _words(types: str) -> str:
    return " or ".join(_NAMES.get(name, name) for name in types.split(" | "))


def _fields(kind: type, path: str) -> list[str]:
    """The field names of the Struct at `path` (as msgspec writes it) inside `kind`."""
    for name in re.findall(r"\.(\w+)", path):
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(kind)}
        kind = next(iter(_structs(fields[name])), kind)
    return [f.encode_name for f in msgspec.structs.fields(kind)]


def _structs(annotation: object) -> list[type[Struct]]:
    """The Struct types inside an annotation such as `list[Rule] | None`."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return [annotation] if issubclass(annotation, Struct) else []
    if isinstance(annotation, UnionType) or typing.get_args(annotation):
        return [kind for part in typing.get_args(annotation) for kind in _structs(part)]
    return []
