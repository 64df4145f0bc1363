"""What others wrote as JSON, and what must not be passed on."""

from __future__ import annotations

import pytest

from iii_engine.core.foreign_json import foreign_json

FILLER = b'"%b"' % (b"x" * 20_000)


@pytest.mark.parametrize(
    "text",
    [
        b"1",
        b" [1, 2] ",
        b'{"a":"\xc3\xa4"}',
        b'"\\ud800"',
        b'["\\ud800",%b]' % (b"1" * 4300),
        FILLER,
    ],
)
def test_it_is_carried_as_it_is(text: bytes) -> None:
    assert bytes(foreign_json(text)).strip() == text.strip()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"[" * 300 + b"]" * 300, "nested too deeply"),
        (b"[%b,%b]" % (FILLER, b"[" * 500 + b"]" * 500), "nested too deeply"),
        (b'["\\ud800",%b,%b]' % (FILLER, b"[" * 500 + b"]" * 500), "nested too deeply"),
        (b"1" * 4301, "an integer has more than 4300 digits"),
        (b'["\\ud800",%b]' % (b"1" * 4301), "an integer has more than 4300 digits"),
        (b'["\\ud800",NaN]', "NaN is not JSON"),
        (b"NaN", "malformed"),
        (b'"\xff"', "utf-8"),
        (b"{", "truncated"),
        (b"", "truncated"),
    ],
)
def test_it_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        foreign_json(text)


def test_what_was_let_in_once_is_let_in_again_from_more_functions() -> None:
    def levels(number: int) -> bytes:
        return b"[" * number + b" " * 20_000 + b"]" * number

    def let_in(text: bytes, *, again: bool, functions: int) -> bool:
        if functions:
            return let_in(text, again=again, functions=functions - 1)
        try:
            foreign_json(text, again=again)
        except ValueError:
            return False
        return True

    most = max(n for n in range(400) if let_in(levels(n), again=False, functions=0))
    assert not let_in(levels(most), again=False, functions=60)
    assert let_in(levels(most), again=True, functions=60)
    assert not let_in(levels(600), again=True, functions=0)
