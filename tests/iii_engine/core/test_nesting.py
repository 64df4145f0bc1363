"""What is nested too deeply, whatever else is in the text."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest

from iii_engine.core import nesting as nesting_module
from iii_engine.core.nesting import LEVELS, read_within, too_deep


def nested(levels: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * levels + closing * levels).encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":[', "]}"), ('["[",', "]")])
def test_the_bound_is_exact(opening: str, closing: str) -> None:
    each = 2 if "{" in opening else 1
    closing_of_leaf = "0" + closing
    for levels in (LEVELS // each, LEVELS // each + 1):
        text = opening * levels + closing_of_leaf + closing * (levels - 1)
        json.loads(text)
        assert too_deep(text.encode()) is (levels * each > LEVELS)


def test_brackets_in_strings_and_beside_each_other_do_not_count() -> None:
    for value in (
        "[" * 1000,
        '"[\\' * 1000,
        "\\" * 999 + "[{" * 300,
        ["[", "]", ""] * 900,
        [[]] * 1000,
        [{"a": [1]}] * 900,
    ):
        assert not too_deep(json.dumps({"data": value}).encode())
        assert too_deep(
            json.dumps({"data": value}).encode()[:-1] + b',"x":' + nested(LEVELS) + b"}"
        )


@pytest.mark.parametrize("text", [b"[" * 1000, b"]" * 300 + b"[" * 300, b'"' + b"[" * 1000])
def test_a_text_need_not_be_valid(text: bytes) -> None:
    assert too_deep(text) is (text == b"[" * 1000)


PADDED = b'{"filler":"%b","deep":%%b}' % (b"x" * 100_000)


@pytest.mark.parametrize("readers_count", [True, False])
@pytest.mark.parametrize("text", [b'{"deep":%b}', PADDED])
def test_a_reader_is_stopped_before_it_is_too_deep(
    text: bytes, readers_count: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nesting_module, "_READERS_COUNT", readers_count)
    usual = sys.getrecursionlimit()
    for read in (msgspec.json.Decoder(msgspec.Raw).decode, json.loads):
        assert read_within(read, text % nested(LEVELS - 1))
        for levels in (401, 980, 50_000):
            with pytest.raises(RecursionError):
                read_within(read, text % nested(levels))
        with pytest.raises(ValueError):
            read_within(read, text)
    assert sys.getrecursionlimit() == usual
