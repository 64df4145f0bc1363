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
