"""What auth functions answer."""

from __future__ import annotations

import pytest
from msgspec import Raw, json

from iii_engine.core.grants import Grant, GrantRefused, read_grant


def test_all_fields_are_optional_and_null_is_absent() -> None:
    assert read_grant(Raw(b"{}")) == Grant()
    names = (
        "allowed_functions",
        "forbidden_functions",
        "allowed_trigger_types",
        "allow_trigger_type_registration",
        "allow_function_registration",
        "allow_endpoint_registration",
        "function_registration_prefix",
        "context",
    )
    nulls = dict.fromkeys(names)
    assert read_grant(Raw(json.encode({**nulls, "more": 1}))) == Grant()


def test_everything_given() -> None:
    answer = {
        "allowed_functions": ["a"],
        "forbidden_functions": ["b"],
        "allowed_trigger_types": [],
        "allow_trigger_type_registration": True,
        "allow_function_registration": False,
        "allow_endpoint_registration": True,
        "function_registration_prefix": "p",
        "context": {"user": {"id": 1}},
    }
    assert read_grant(Raw(json.encode(answer))) == Grant(
        frozenset({"a"}),
        frozenset({"b"}),
        frozenset(),
        True,
        False,
        True,
        "p",
        {"user": Raw(b'{"id":1}')},
    )


def test_nothing_is_refused() -> None:
    with pytest.raises(GrantRefused, match=r"^auth function returned no result$"):
        read_grant(Raw(b"null"))


@pytest.mark.parametrize("answer", [b"7", b"[]", b'{"allowed_functions":"a"}', b'{"context":[]}'])
def test_other_shapes_are_refused_in_the_words_of_the_decoder(answer: bytes) -> None:
    with pytest.raises(GrantRefused, match=r"^Expected"):
        read_grant(Raw(answer))
