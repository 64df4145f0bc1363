"""JSON Schemas as markdown."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType

from tools.schema_text import fields_table


class Inner(Struct):
    level: int


class Outer(Struct):
    name: str
    tags: list[str] = []
    limit: int | None = None
    inner: Inner | None = None
    size: int = 5


def test_an_object_becomes_a_table_and_so_do_the_objects_in_it() -> None:
    assert fields_table(msgspec.json.schema(Outer), "Request") == [
        "Request:",
        "",
        "| field | type | |",
        "|---|---|---|",
        "| `name` | string | required |",
        "| `tags` | list of string | default `[]` |",
        "| `limit` | integer or null | optional |",
        "| `inner` | Inner or null | optional |",
        "| `size` | integer | default `5` |",
        "",
        "Inner is an object:",
        "",
        "| field | type | |",
        "|---|---|---|",
        "| `level` | integer | required |",
        "",
    ]


def test_what_a_class_says_of_itself_stands_above_its_table() -> None:
    class Told(Struct):
        """A thing.

        With a second paragraph.
        """

        level: int

    lines = fields_table(msgspec.json.schema(list[Told]), "Result")
    assert lines[2:4] == ["Told is an object. A thing.\n\nWith a second paragraph.", ""]


def test_anything_else_becomes_a_sentence() -> None:
    assert fields_table(msgspec.json.schema(list[int]), "Result") == [
        "Result: list of integer.",
        "",
    ]


def test_what_may_be_null_says_so() -> None:
    class Found(Struct):
        was: str | None

    table = fields_table(msgspec.json.schema(Found | None), "Result")
    assert table[0] == "Result: Found or null."
    assert "| `was` | string or null | required |" in table


def test_a_field_that_may_be_left_out_says_so() -> None:
    class Stats(Struct):
        depth: int | UnsetType = UNSET
        config: None = None

    assert fields_table(msgspec.json.schema(Stats), "Result")[4:6] == [
        "| `depth` | integer | optional |",
        "| `config` | null | optional |",
    ]


def test_what_says_nothing_is_left_out() -> None:
    assert fields_table(None, "Result") == []
    assert fields_table({}, "Result") == []
