"""JSON Schemas from annotations."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, TypedDict

import pydantic
import pytest

from iii_sdk.compat import extract_request_format, extract_response_format, python_type_to_format
from iii_sdk.compat.formats import DRAFT, given_format


class Model(pydantic.BaseModel):
    name: str


@dataclasses.dataclass
class Point:
    x: int


class Typed(TypedDict):
    x: int


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None, {"type": "null"}),
        (str | None, {"type": ["string", "null"]}),
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (list[Any], {"type": "array"}),
        (dict, {"type": "object"}),
        (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
    ],
)
def test_simple_types(kind, schema):
    assert python_type_to_format(kind) == {"$schema": DRAFT, **schema}


@pytest.mark.parametrize("kind", [Any, int | str, int | str | None, Any | None, object, bytes])
def test_types_that_say_nothing(kind):
    assert python_type_to_format(kind) is None


def test_records():
    model = python_type_to_format(Model)
    assert model["$schema"] == DRAFT
    assert model["properties"] == {"name": {"title": "Name", "type": "string"}}
    for kind in (Point, Typed):
        assert "x" in str(python_type_to_format(kind))


def test_handlers():
    async def typed(data: Model, metadata: Any = None) -> dict[str, int]:
        return {}

    def nothing():
        pass

    assert extract_request_format(typed)["title"] == "Model"
    assert extract_response_format(typed)["type"] == "object"
    assert extract_request_format(functools.partial(typed))["title"] == "Model"
    for empty in (nothing, lambda data: data, len):
        assert extract_request_format(empty) is None
        assert extract_response_format(empty) is None


def test_annotations_that_cannot_be_evaluated():
    def handler(data: Missing) -> Missing:  # noqa: F821 - that is the point
        return data

    assert extract_request_format(handler) is None


def test_given_formats():
    assert given_format(Model)["title"] == "Model"
    assert given_format({"type": "x"}) == {"type": "x"}
    assert given_format(Point(1)) == {"x": 1}
