"""Kinds and equality of JSON values."""

from __future__ import annotations

import pytest

from iii_engine.core.update_types import is_number, kind_of, same_json


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_kinds(value: object, kind: str) -> None:
    assert kind_of(value) == kind


def test_numbers_fit_into_64_bits() -> None:
    assert all(map(is_number, (0, -(2**63), 2**63 - 1, 0.5)))
    assert not any(map(is_number, (True, 2**63, float("nan"), float("inf"), "1", None)))


def test_numbers_are_equal_by_value() -> None:
    assert same_json({"a": [1, {"b": 2.0}]}, {"a": [1.0, {"b": 2}]})
    assert same_json(None, None)
    assert same_json(True, True)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (True, 1),
        (0, False),
        ([1], [1, 2]),
        ([True], [1]),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 2}),
        (None, 0),
        ("1", 1),
        ([], {}),
    ],
)
def test_different_values(left: object, right: object) -> None:
    assert not same_json(left, right)
    assert not same_json(right, left)
