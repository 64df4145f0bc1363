"""Filters over functions: anchored wildcards, and metadata."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec import Raw, json

from iii_engine.core.filters import Wildcard, read_filter


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a::b", "a::b", True),
        ("a::b", "a::bc", False),
        ("a*b", "ab", True),
        ("a*b", "axbx", False),
        ("a*b", "xaxb", False),
        ("a::*", "a::", True),
        ("a::*", "b::a::x", False),
        ("*", "", True),
        ("**", "x", True),
        ("", "", True),
        ("", "x", False),
        ("ab*ba", "aba", False),
        ("ab*ba", "abba", True),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c", False),
        ("a*b*bc", "a-bc", False),
        ("a*\n*b", "a\nb", True),
        ("a.c", "abc", False),
    ],
)
def test_wildcards_are_anchored(pattern: str, text: str, fits: bool) -> None:
    assert Wildcard(pattern).matches(text) is fits


def test_a_hostile_text_costs_no_more_than_its_length() -> None:
    wildcard = Wildcard("*a" * 200 + "b*c")
    start = time.perf_counter()
    assert not wildcard.matches("a" * 200_000 + "c")
    assert time.perf_counter() - start < 10  # exponential costs would take for ever


@pytest.mark.parametrize("text", ['match("a::*")', "match('a::*')", ' match("a::*") '])
def test_both_quotes_make_an_id_filter(text: str) -> None:
    found = read_filter(text)
    assert found.admits("a::b", Raw(b"null"))
    assert not found.admits("b::a::b", Raw(b"null"))


@pytest.mark.parametrize("text", ["a::*", "match(\"a')", "match(a)", 'match("a") or x', ""])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="match"):
        read_filter(text)


def test_a_filter_without_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="expose every function"):
        read_filter({})


@pytest.mark.parametrize(
    ("wanted", "metadata", "fits"),
    [
        ({"public": True}, {"public": True, "more": 1}, True),
        ({"public": True}, {"public": 1}, False),
        ({"public": 1}, {"public": True}, False),
        ({"public": 1}, {"public": 1.0}, True),
        ({"public": True}, {}, False),
        ({"public": None}, {}, False),
        ({"public": None}, {"public": None}, True),
        ({"public": True}, None, False),
        ({"public": True}, [["public", True]], False),
        ({"tier": 'match("gold*")'}, {"tier": "gold-2"}, True),
        ({"tier": 'match("gold*")'}, {"tier": "silver"}, False),
        ({"tier": 'match("*")'}, {"tier": 7}, False),
        ({"a": 1, "b": "x"}, {"a": 1, "b": "x"}, True),
        ({"a": 1, "b": "x"}, {"a": 1}, False),
        ({"deep": {"a": [1, {"b": True}]}}, {"deep": {"a": [1, {"b": True}]}}, True),
        ({"deep": {"a": [1, {"b": True}]}}, {"deep": {"a": [1, {"b": 1}]}}, False),
        ({"deep": {"a": 1}}, {"deep": {"a": 1, "b": 2}}, False),
        ({"list": [1]}, {"list": [1, 2]}, False),
    ],
)
def test_metadata(wanted: dict[str, object], metadata: Any, fits: bool) -> None:
    assert read_filter(wanted).admits("any", Raw(json.encode(metadata))) is fits


def test_metadata_that_only_a_tolerant_reader_reads() -> None:
    found = read_filter({"public": True})
    assert found.admits("any", Raw(b'{"public":true,"name":"\\ud800"}'))
