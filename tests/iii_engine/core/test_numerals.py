"""Integers that no client reads."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iii_engine.core import numerals
from iii_engine.core.numerals import MAX_DIGITS, has_endless_integer

LONG = "1" * (MAX_DIGITS + 1)
FITS = "1" * MAX_DIGITS


def test_the_limit_is_what_python_reads() -> None:
    assert sys.int_info.default_max_str_digits == MAX_DIGITS


@pytest.mark.parametrize(
    "data", [LONG, f"-{LONG}", f"[0,{LONG}]", f"[{FITS},\n{LONG} ]", f'{{"a\\\\":{LONG}}}']
)
def test_an_integer_of_too_many_digits_is_found(data: str) -> None:
    for filler in range(0, 200, 7):
        assert has_endless_integer(f'{{"a":"{"x" * filler}","data":{data}}}'.encode())


@pytest.mark.parametrize(
    "data",
    [
        FITS,
        f"[{FITS},{FITS},-{FITS}]",
        f"0.{LONG}",
        f"{LONG}.5",
        f'"{LONG}"',
        f'"a: {LONG} b"',
        f'"\\\\\\",{LONG},\\""',
        f'["{LONG}",",{LONG},"]',
        '"' + "x" * 100_000 + '"',
    ],
)
def test_shorter_ones_fractions_and_text_are_not(data: str) -> None:
    assert not has_endless_integer(f'{{"data":{data}}}'.encode())


@pytest.mark.parametrize("text", [LONG, f"-{LONG}", f"[{LONG}", f" {LONG} ", f"[{LONG}]"])
def test_a_text_need_not_be_an_object(text: str) -> None:
    assert has_endless_integer(text.encode())
    assert not has_endless_integer(f'"{LONG}"'.encode())
    assert not has_endless_integer(f"{LONG}.0".encode())
    assert not has_endless_integer(FITS.encode())


VALUES = st.recursive(
    st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(',:[]\\"1234 ', max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
)


@given(VALUES)
def test_it_is_found_in_any_message(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numerals, "MAX_DIGITS", 12)
        patch.setattr(numerals, "_TOO_LONG", b"0" * 13)
        patch.setattr(numerals, "_STEP", 3)
        patch.setattr(numerals, "_SIGN", b"0000")
        frame = json.dumps({"data": value}, separators=(",", ":"))
        found: list[int] = []
        json.loads(frame, parse_int=lambda text: found.append(len(text.lstrip("-"))))
        assert has_endless_integer(frame.encode()) == any(n > 12 for n in found)
