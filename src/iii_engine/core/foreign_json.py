"""JSON texts that others made, and that are to be carried as they are."""

from __future__ import annotations

import json
from typing import Final

import msgspec
from msgspec import Raw

from iii_engine.core.nesting import read_within
from iii_engine.core.numerals import MAX_DIGITS, has_endless_integer
from iii_engine.core.strictness import without_lone_surrogates

#: Larger texts are made strict: the tolerant reader takes some 0.3 µs a byte, for all.
TOLERATED_BYTES: Final = 256 * 1024

_check: Final = msgspec.json.Decoder(Raw).decode


def foreign_json(text: bytes, *, again: bool = False) -> Raw:
    """The text, checked but not decoded, if it is JSON that every reader takes.

    `again` is for what comes back from a server: nothing is refused then that was let in before.
    Raises `ValueError`, which says why not.
    """
    if not text.isascii():
        text.decode()
    try:
        checked = read_within(_check_either, text, again=again)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if has_endless_integer(text):
        raise ValueError(f"an integer has more than {MAX_DIGITS} digits")
    return checked


def _check_either(text: bytes) -> Raw:
    try:
        return _check(text)
    except msgspec.DecodeError:
        # Lone surrogates are JSON, which the strict reader does not know.
        if b"\\u" not in text:
            raise
        if len(text) > TOLERATED_BYTES:
            return _check(without_lone_surrogates(text))
        json.loads(text, parse_constant=_refuse_constant, parse_int=len)
        return Raw(text.strip())


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
