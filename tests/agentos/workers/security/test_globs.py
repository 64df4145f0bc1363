"""Globs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentos.workers.security.globs import glob_match


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("file*", "myfile", False),
        ("*::*::*", "a::b::c", True),
        ("", "", True),
        ("", "a", False),
        ("a*b*c*d", "abcd", True),
        ("a*b*c*d", "XaXbYcZd", False),
        ("*read", "read_read", True),
        ("a*ba", "aba", True),
        ("a*a", "a", False),
        ("**", "", True),
        ("a**c", "abc", True),
        ("file::[a]", "file::a", False),
    ],
)
def test_security_case_12_globs(pattern: str, text: str, matches: bool) -> None:
    assert glob_match(pattern, text) is matches


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_as_a_regular_expression_would(pattern: str, text: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert glob_match(pattern, text) is (re.fullmatch(expression, text) is not None)
