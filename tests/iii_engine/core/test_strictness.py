"""Large texts of lenient writers: what JSON has not is replaced, and nothing else."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iii_engine.core import strictness
from iii_engine.core.strictness import without_lone_surrogates, without_odd_numbers

NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-9, 9)
TEXTS = st.text(st.sampled_from('NaInfinity-"\\\\,:[]{} '), max_size=12)
VALUES = st.recursive(
    NUMBERS | TEXTS | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def finite(value: object) -> object:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list) else value


@given(VALUES, st.sampled_from([(",", ":"), (", ", ": ")]))
def test_numbers_that_json_has_not_become_null(value: object, separators: tuple[str, str]) -> None:
    text = json.dumps(value, separators=separators).encode()
    assert msgspec.json.decode(without_odd_numbers(text)) == finite(value)


@given(st.text(st.sampled_from(["\ud800", "\udbff", "\udc00", "\U0001f600", "\\", "u", "d", '"'])))
def test_lone_surrogates_are_replaced(text: str) -> None:
    found = msgspec.json.decode(without_lone_surrogates(json.dumps([text]).encode()))
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    expected = whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert found == [expected]


@pytest.mark.parametrize("text", [b'["NaN', b"[NaN", b"[Nan,Infinit]", b"N" * 50_000 + b"NaN"])
def test_what_is_no_json_stays_none(text: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(without_odd_numbers(text))


def test_what_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strictness, "MOST", 10)
    with pytest.raises(ValueError, match="more than 10 numbers"):
        without_odd_numbers(b"[" + b"NaN," * 11 + b"0]")
    with pytest.raises(ValueError, match="more than 10 escapes"):
        without_lone_surrogates(b'"\\ud800' + b"\\n" * 10 + b'"')


@pytest.mark.parametrize(
    "more", [b'"a\\"b",', b"-1.5,", b"[" * 9 + b"]" * 9 + b",", b'"' + b"x" * 99 + b'",']
)
def test_a_large_text_is_read_quickly(more: bytes) -> None:
    text = b"[" + more * (4_000_000 // len(more)) + b'NaN,"\\ud800"]'
    began = time.process_time()
    without_lone_surrogates(without_odd_numbers(text[:-11] + b"]"))
    assert time.process_time() - began < 1
