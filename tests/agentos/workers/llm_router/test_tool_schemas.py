"""Descriptors of functions as tools."""

from __future__ import annotations

import msgspec
import pytest

from agentos.workers.llm_router.tool_schemas import parameters_of, tool_of, tools_of
from iii_sdk.errors import InvalidInput

ANYTHING = {"type": "object", "properties": {}, "additionalProperties": True}


def test_engine_descriptor():
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    tool = tool_of({"function_id": "a::b", "description": "does b", "request_format": schema})
    assert (tool.id, tool.description, tool.parameters) == ("a::b", "does b", schema)
    assert tool_of({"id": "a::b", "description": None}).description == "a::b"
    assert tool_of({"id": "a::b"}).parameters == ANYTHING


def test_ready_tool_objects():
    schema = {"type": "object", "properties": {}}
    openai = tool_of({"type": "function", "function": {"name": "f", "parameters": schema}})
    assert (openai.id, openai.parameters) == ("f", schema)
    assert tool_of({"name": "f", "input_schema": schema}).parameters == schema


class Inner(msgspec.Struct):
    a: int


class Outer(msgspec.Struct):
    inner: Inner
    name: str = ""


def test_a_schema_made_from_types_gets_an_object_at_its_root():
    made = parameters_of(msgspec.json.schema(Outer))
    assert made["type"] == "object"
    assert set(made["properties"]) == {"inner", "name"}
    assert "Inner" in made["$defs"]
    assert "$ref" not in made
    assert "$defs" not in parameters_of(msgspec.json.schema(Inner))


def test_what_is_no_schema_of_an_object_becomes_anything():
    assert parameters_of({"type": "string"}) == ANYTHING
    assert parameters_of("nonsense") == ANYTHING
    assert parameters_of({}) == ANYTHING


def test_older_list_form():
    fields = [
        {"name": "q", "type": "string", "required": True, "description": "what"},
        {"name": "tags", "type": "array", "items": {"type": "string"}},
        {"name": "where", "type": "object", "body": [{"name": "x", "type": "int"}]},
    ]
    assert parameters_of(fields) == {
        "type": "object",
        "properties": {
            "q": {"type": "string", "description": "what"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "where": {"type": "object", "properties": {"x": {"type": "integer"}}},
        },
        "required": ["q"],
    }


def test_a_function_without_a_name_is_refused_by_its_place():
    with pytest.raises(InvalidInput, match=r"\$\.functions\[1\]"):
        tools_of([{"id": "a"}, {"description": "nameless"}])


def test_a_function_offered_twice_is_offered_once():
    assert len(tools_of([{"id": "a"}, {"id": "a"}])) == 1
