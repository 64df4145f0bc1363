"""Canonical JSON: one spelling per value, for digests and signatures.

Keys sorted, no blanks, text unescaped beyond what JSON needs, numbers in their shortest form.
"""

from __future__ import annotations

import json

#: Whole floats above this are not exact, and keep their spelling.
_EXACT = 2.0**53


def _shortest(value: object) -> object:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, dict):
        return {key: _shortest(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortest(item) for item in value]
    return value


def canonical_json(value: object) -> bytes:
    """UTF-8. Raises `ValueError` for NaN and infinities, which JSON does not have."""
    return json.dumps(
        _shortest(value),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    ).encode()
