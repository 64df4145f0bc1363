"""Kinds of JSON values, as update operations distinguish them."""

from __future__ import annotations

import math
from typing import TypeGuard

INT64 = range(-(2**63), 2**63)


class Refused(Exception):
    """An operation cannot be applied; nothing of it was."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def is_number(value: object) -> TypeGuard[int | float]:
    """A JSON number that fits: a 64-bit integer or a finite float. Booleans are not numbers."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and value in INT64


def kind_of(value: object) -> str:
    """The kind of a JSON value with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def same_json(left: object, right: object) -> bool:
    """Equality of JSON values: numbers by value, booleans only with booleans."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same_json(item, right[key]) for key, item in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return left == right
