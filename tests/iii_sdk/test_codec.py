from __future__ import annotations

from typing import Any

import msgspec
import pytest

from iii_sdk.codec import decoder, describe, dump, schema
from iii_sdk.coercion import Coercion
from iii_sdk.handlers import without_caller
from iii_sdk.protocol import NULL
from iii_sdk.streams import Event, event_bytes

CALLER = b'"_caller_worker_id":"5b0c9a52-6a0b-4a3e-9c0e-0d7a3b1b2f11"'


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    port: int


class Outer(msgspec.Struct):
    config: Inner
    names: list[str] = []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "$.config: missing"),
        ('{"config":{}}', "$.config.port: missing"),
        ('{"config":{"port":"x"}}', "$.config.port: expected int, got str"),
        ('{"config":{"port":1,"x":2}}', "$.config.x: unknown field"),
        ('{"config":{"port":1},"names":["a",1]}', "$.names[1]: expected str, got int"),
        ("[]", "$: expected object, got array"),
    ],
)
def test_validation_errors_begin_with_the_path(text, message):
    with pytest.raises(msgspec.ValidationError) as raised:
        decoder(Outer)(text.encode())
    assert describe(raised.value) == message


def test_types_without_a_schema_have_none():
    assert schema(Any) is NULL
    assert schema(type("Odd", (), {})) is NULL
    assert b'"port"' in bytes(schema(Inner))


def test_dump_writes_what_the_strict_codec_refuses():
    assert dump({"a": float("inf")}) == b'{"a":null}'
    assert dump(["\ud800"]) == b'["\\ud800"]'


@pytest.mark.parametrize(
    ("payload", "left"),
    [
        (b'{"a":1,' + CALLER + b"}", b'{"a":1}'),
        (b"{" + CALLER + b"}", b"{}"),
        (b"{" + CALLER + b',"a":1}', b'{"a":1}'),
        (b'{"a":1}', b'{"a":1}'),
        (b'{"a":{' + CALLER + b"}}", b'{"a":{' + CALLER + b"}}"),
    ],
)
def test_the_engines_extra_key_is_taken_out(payload, left):
    assert without_caller(payload) == left


def test_strings_become_what_their_fields_hold():
    class Fields(msgspec.Struct):
        number: int
        ratio: float
        flag: bool
        text: str
        maybe: int | None
        either: int | str
        nested: dict[str, int]
        items: list[int] | None

    read = Coercion(Fields).apply
    assert read({"number": "5", "ratio": "5", "flag": "FALSE", "text": "5"}) == {
        "number": 5,
        "ratio": 5,
        "flag": False,
        "text": "5",
    }
    assert read({"maybe": "null", "either": "5", "nested": '{"a":1}', "items": "[1]"}) == {
        "maybe": None,
        "either": "5",
        "nested": {"a": 1},
        "items": [1],
    }
    assert read({"number": "x", "nested": "{", "flag": "2", "other": "1"}) == {
        "number": "x",
        "nested": "{",
        "flag": 2,
        "other": "1",
    }


def test_an_event_cannot_break_out_of_its_line():
    assert event_bytes(Event("a\rb", event="x\ndata: y", id="1\n")) == (
        b"event: x data: y\nid: 1 \ndata: a\ndata: b\n\n"
    )
    assert event_bytes("") == b"data: \n\n"
    assert event_bytes(None) == b"data: null\n\n"
