"""JSON Schemas as markdown tables of their fields."""

from __future__ import annotations

import json
from inspect import cleandoc
from typing import Any

from tools.field_comments import Comments

Schema = dict[str, Any]


def fields_table(
    schema: Schema | None, heading: str, comments: Comments | None = None
) -> list[str]:
    """Tables of an object's fields and of the objects in it; one sentence for anything else.

    `comments` says what the fields of a class mean.
    """
    if not schema:
        return []
    definitions: dict[str, Schema] = schema.get("$defs", {})
    top = schema.get("$ref", "").rpartition("/")[2]
    meanings = comments or {}
    lines = _table(_resolve(schema, definitions), definitions, heading, meanings.get(top, {}))
    for name in sorted(set(definitions) - {top}):
        if definitions[name].get("properties"):
            about = cleandoc(definitions[name].get("description", ""))
            heading = f"{name} is an object" + (f". {about}" if about else "")
            lines += _table(definitions[name], definitions, heading, meanings.get(name, {}))
    return lines


def _table(
    shape: Schema, definitions: dict[str, Schema], heading: str, meanings: dict[str, str]
) -> list[str]:
    properties: dict[str, Schema] = shape.get("properties", {})
    if not properties:
        name = _type(shape, definitions)
        return [] if name in ("any", "object") else [f"{heading}: {name}.", ""]
    required = set(shape.get("required", []))
    lines = [
        heading if heading.endswith(".") else f"{heading}:",
        "",
        "| field | type | |",
        "|---|---|---|",
    ]
    for name, field in properties.items():
        told = "required" if name in required else _default(field)
        told = ". ".join(filter(None, (told, meanings.get(name, ""))))
        lines.append(f"| `{name}` | {_cell(_type(field, definitions))} | {_cell(told)} |")
    return [*lines, ""]


def _resolve(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return definitions.get(reference.rpartition("/")[2], {})
    return schema


def _default(field: Schema) -> str:
    if field.get("default") is None:
        return "optional"
    return f"default `{json.dumps(field['default'], ensure_ascii=False)}`"


def _type(schema: Schema, definitions: dict[str, Schema]) -> str:
    """The type in words: `integer`, `list of string`, `one of "a", "b"`, the name of an object."""
    if "$ref" in schema:
        target = _resolve(schema, definitions)
        if "enum" in target or "anyOf" in target:
            return _type(target, definitions)
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(item) for item in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "anyOf" in schema:
        names = [_type(choice, definitions) for choice in schema["anyOf"]]
        return _choice(names)
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return _choice(kind)
    if kind == "array":
        inner = _type(schema.get("items") or {}, definitions)
        return "list" if inner == "any" else f"list of {inner}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        inner = _type(schema["additionalProperties"], definitions)
        return "object" if inner == "any" else f"object of {inner}"
    return str(kind)


def _choice(names: list[str]) -> str:
    """Null is named last."""
    return " or ".join(sorted(dict.fromkeys(names), key=lambda name: name == "null"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
