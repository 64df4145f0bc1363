"""The payload of `iii trigger`, from JSON text and `key=value` words."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence


class PayloadError(Exception):
    """The payload cannot be read; the text is for the terminal."""


def make_payload(text: str | None, words: Sequence[str]) -> object:
    """The JSON of `text` (`-` reads stdin, None is `{}`), its keys overridden by the words.

    Raises `PayloadError`.
    """
    if text == "-":
        text = sys.stdin.read()
    try:
        payload = {} if text is None else json.loads(text)
    except ValueError as error:
        raise PayloadError(f"Invalid JSON payload: {error}") from None
    except RecursionError:
        raise PayloadError("Invalid JSON payload: it is nested too deeply") from None
    fields = dict(key_value(word) for word in words)
    if not fields:
        return payload
    if not isinstance(payload, dict):
        raise PayloadError("Invalid JSON payload: with key=value it must be an object")
    return {**payload, **fields}


def key_value(word: str) -> tuple[str, object]:
    """`n=10` is a number, `s=hi` a string, `a=[1]` a list: JSON where it is JSON."""
    key, separator, text = word.partition("=")
    if not separator or not key:
        raise PayloadError(f"expected key=value, got `{word}`")
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text
