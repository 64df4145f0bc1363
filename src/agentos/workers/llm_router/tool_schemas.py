"""Function descriptors as tools: three spellings in, one `Tool` out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeGuard

from agentos.workers.llm_router.conversation import Tool
from iii_sdk.errors import InvalidInput

_TYPES = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
    "map": "object",
}
_JSON_TYPES = {"string", "integer", "number", "boolean", "array", "object", "null"}

Json = Mapping[str, object]


def tools_of(descriptors: Iterable[Json]) -> list[Tool]:
    """Tools of a request; a function offered twice is kept once."""
    tools: dict[str, Tool] = {}
    for index, descriptor in enumerate(descriptors):
        tool = tool_of(descriptor, f"$.functions[{index}]")
        tools.setdefault(tool.id, tool)
    return list(tools.values())


def tool_of(descriptor: Json, path: str = "$.functions[0]") -> Tool:
    """Read the engine's function descriptor, or a ready OpenAI or Anthropic tool object."""
    inner = descriptor.get("function")
    source = inner if _is_object(inner) else descriptor
    name = _first_text(source, "function_id", "id", "name")
    if name is None:
        raise InvalidInput(f"{path}: a function needs function_id, id or name")
    schema = _first_given(source, "request_format", "parameters", "input_schema")
    return Tool(name, _first_text(source, "description") or name, parameters_of(schema))


def parameters_of(schema: object) -> dict[str, object]:
    """A JSON Schema whose root is an object, as every provider requires."""
    if isinstance(schema, list):
        return _from_fields([field for field in schema if _is_object(field)])
    if not _is_object(schema):
        return _anything()
    root = _inline_root(schema)
    if root.get("type") != "object" and "properties" not in root:
        return _anything()
    return {"type": "object", "properties": {}, **root}


def _inline_root(schema: Json) -> dict[str, object]:
    """Schemas made from types may have a bare reference as root: put its target there."""
    root = dict(schema)
    reference, definitions = root.get("$ref"), root.get("$defs")
    if not isinstance(reference, str) or not _is_object(definitions):
        return root
    target = definitions.get(reference.removeprefix("#/$defs/"))
    if not _is_object(target):
        return root
    del root["$ref"]
    merged = {**target, **root}
    if "#/$defs/" not in str(target):
        del merged["$defs"]
    return merged


def _from_fields(fields: list[Json]) -> dict[str, object]:
    """The older list form `[{name, type, required, description, items?, body?}]`."""
    properties = {str(field.get("name", "")): _field(field) for field in fields}
    properties.pop("", None)
    required = [str(field["name"]) for field in fields if field.get("required") and "name" in field]
    schema: dict[str, object] = {"type": "object", "properties": properties}
    return {**schema, "required": required} if required else schema


def _field(field: Json) -> dict[str, object]:
    kind = str(field.get("type", "string")).lower()
    kind = _TYPES.get(kind, kind if kind in _JSON_TYPES else "string")
    body = field.get("body")
    schema: dict[str, object] = {"type": kind}
    if kind == "object" and isinstance(body, list):
        schema = _from_fields([inner for inner in body if _is_object(inner)])
    if kind == "array":
        items = field.get("items")
        schema["items"] = _field(items) if _is_object(items) else {}
    description = field.get("description")
    return {**schema, "description": description} if isinstance(description, str) else schema


def _anything() -> dict[str, object]:
    return {"type": "object", "properties": {}, "additionalProperties": True}


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _first_given(source: Json, *names: str) -> object:
    return next((source[name] for name in names if source.get(name) is not None), None)


def _first_text(source: Json, *names: str) -> str | None:
    value = _first_given(source, *names)
    return value if isinstance(value, str) and value else None
