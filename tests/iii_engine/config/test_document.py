from __future__ import annotations

import pytest

from iii_engine.config.document import Document, Value, parse, resolve
from iii_engine.config.environment import Environment
from iii_engine.config.errors import ConfigError


def read(text: str, **variables: str) -> Document:
    return parse(text, Environment(variables))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-17", -17),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("007", "007"),
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        (".inf", ".inf"),
        ("2026-01-01", "2026-01-01"),
        ("text", "text"),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: Value) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_modules_case_2_quoted_stays_a_string_and_unquoted_is_resolved() -> None:
    value = read("a: '${P:1}'\nb: \"${P:1}\"\nc: ${P:1}\nd: |\n  ${P:1}\n").value
    assert value == {"a": "1", "b": "1", "c": 1, "d": "1\n"}


def test_substituted_text_cannot_add_structure() -> None:
    value = read("a: ${X}\n", X="1\nb: [2]").value
    assert value == {"a": "1\nb: [2]"}


def test_modules_case_5_comments_and_keys_are_not_expanded() -> None:
    environment = Environment({})
    assert parse("a: 1 # ${NOPE}\n'${KEY}': 2\n", environment).value == {"a": 1, "${KEY}": 2}
    assert environment.missing == []


def test_references_may_stand_inside_brackets() -> None:
    value = read("a: {p: ${P:1}, q: [${Q}, ${R:x, y}]}", Q="b: c").value
    assert value == {"a": {"p": 1, "q": ["b: c", "x, y"]}}


def test_a_reference_does_not_shift_places() -> None:
    with pytest.raises(ConfigError, match="duplicate key `b` at line 1 column 27"):
        read("{a: ${SOMETHING}, b: 1,   b: 2}", SOMETHING="x" * 50)


def test_messages_show_references_as_they_were_written() -> None:
    with pytest.raises(ConfigError, match=r"duplicate key `\$\{A\}`"):
        read("${A}: 1\n${A}: 2\n")


def test_too_many_references() -> None:
    with pytest.raises(ConfigError, match="more than 6399 references"):
        read("- ${A:1}\n" * 6400)


def test_anchors_are_resolved() -> None:
    assert read("a: &x {b: 1}\nc: *x\n").value == {"a": {"b": 1}, "c": {"b": 1}}


def test_empty_text_is_null() -> None:
    assert read("# nothing\n").value is None


def test_places_are_those_of_the_keys() -> None:
    document = read("a:\n  - x: 1\n    y: 2\n")
    assert document.where(("a",)) == "line 1 column 1"
    assert document.where(("a", 0)) == "line 2 column 5"
    assert document.where(("a", 0, "y")) == "line 3 column 5"
    assert document.where(("unknown",)) == "line 1 column 1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [1", "expected ',' or ']', but got '<stream end>'"),
        ("a: 1\na: 2", "duplicate key `a` at line 2 column 1"),
        ("a: !!int 3", "is not supported at line 1 column 4"),
        ("? [1]\n: 2", "a key must be a plain text at line 1 column 3"),
        ("a: \x00", "special characters are not allowed"),
        ("a: &x [*x]", "an alias contains itself"),
        ("a: b: c", "mapping values are not allowed here at line 1 column 5"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
