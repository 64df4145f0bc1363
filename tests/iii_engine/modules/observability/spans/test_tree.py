from __future__ import annotations

import json
from typing import Any

import pytest

from iii_engine.core.spans import Resource, Span
from iii_engine.core.turns import at_once
from iii_engine.modules.observability.spans.gathering import Kept
from iii_engine.modules.observability.spans.tree import TreeQuery, tree

ENGINE = Resource("iii", {})


def span(number: int, parent: int | None = None, start: int | None = None) -> Span:
    return Span(
        trace_id="t",
        span_id=f"{number}",
        parent_span_id=None if parent is None else f"{parent}",
        name=f"s{number}",
        kind="internal",
        start_ns=number if start is None else start,
        end_ns=100,
    )


def shape(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    return {node["name"]: shape(node["children"]) for node in nodes}


def written(spans: list[Span]) -> bytes:
    return at_once(tree(Kept(list(spans)), TreeQuery("t"), ENGINE))


def grown(*spans: Span) -> tuple[dict[str, Any], list[str]]:
    roots = json.loads(written(list(spans)))["roots"]
    return shape(roots), [root["name"] for root in roots]


def test_no_trace() -> None:
    assert written([]) == b'{"roots":[]}'


def test_children_are_below_their_parents_by_their_start() -> None:
    found, _ = grown(span(4, 2), span(3, 1), span(2, 1, start=9), span(1), span(5, 1, start=1))
    assert found == {"s1": {"s5": {}, "s3": {}, "s2": {"s4": {}}}}
    assert list(found["s1"]) == ["s5", "s3", "s2"]


def test_spans_without_their_parent_are_roots() -> None:
    assert grown(span(3, 9), span(1), span(4, 3)) == (
        {"s1": {}, "s3": {"s4": {}}},
        ["s1", "s3"],
    )


def test_ids_that_are_not_unique_or_go_in_circles_end() -> None:
    assert grown(span(1, 1), span(2, 3), span(3, 2)) == ({}, [])
    found, roots = grown(span(1), span(1), span(2, 1))
    assert (found, roots) == ({"s1": {}}, ["s1", "s1"])


def test_a_trace_may_be_deeper_than_any_recursion() -> None:
    text = written([span(n, n - 1 if n else None) for n in range(20_000)])
    assert text.count(b'"children":[') == 20_000
    with pytest.raises(RecursionError):
        json.loads(text)
