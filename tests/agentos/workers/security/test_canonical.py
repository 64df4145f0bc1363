"""Canonical JSON."""

from __future__ import annotations

import pytest

from agentos.workers.security.canonical import canonical_json


def test_one_spelling_per_value() -> None:
    value = {"b": [1.0, 3.14, -99], "a": {"ö": None, "z": True}, "n": 42}
    assert canonical_json(value).decode() == ('{"a":{"z":true,"ö":null},"b":[1,3.14,-99],"n":42}')


def test_numbers_beyond_exactness_keep_their_spelling() -> None:
    assert canonical_json(2.0**60) == b"1.152921504606847e+18"


def test_refuses_what_json_does_not_have() -> None:
    with pytest.raises(ValueError):
        canonical_json(float("nan"))
