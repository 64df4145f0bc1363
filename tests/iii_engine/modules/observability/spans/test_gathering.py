from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.pieces import counted, longest

from iii_engine.core.spans import Resource, Span
from iii_engine.core.tracing import SpanRing
from iii_engine.modules.observability.metrics.listing import performance
from iii_engine.modules.observability.spans import gathering
from iii_engine.modules.observability.spans.gathering import LOOKS, RECORDS, kept
from iii_engine.modules.observability.spans.listing import TracesQuery, list_traces
from iii_engine.modules.observability.spans.tree import TreeQuery, tree
from iii_engine.modules.pieces import ITEMS

ENGINE = Resource("iii", {})


def span(number: int, trace: str = "t", parent: str | None = None) -> Span:
    return Span(
        trace_id=trace,
        span_id=f"{number}",
        parent_span_id=parent,
        name=f"s{number % 7}",
        kind="internal",
        start_ns=number,
        end_ns=2 * number,
    )


class Pair:
    """A record of two spans."""

    trace_id = "t"

    def __init__(self, number: int) -> None:
        self._number = number

    def span_count(self) -> int:
        return 2

    def spans(self) -> tuple[Span, ...]:
        return (span(self._number), span(self._number + 1))


def ring_of(*records: Any, capacity: int = 100_000) -> SpanRing:
    ring = SpanRing(capacity)
    for record in records:
        ring.add(record)
    return ring


@pytest.mark.parametrize("capacity", range(1, 8))
def test_as_many_spans_as_are_kept(capacity: int) -> None:
    ring = ring_of(span(0), Pair(1), Pair(3), span(5), capacity=capacity)
    found, _ = counted(kept(ring))
    starts = [each.start_ns for each in found.spans() if each is not None]
    assert starts == list(range(6))[-capacity:]
    (one, _) = counted(found.of_trace("t"))
    assert [each.start_ns for each in one.spans() if each is not None] == starts


def test_of_one_trace() -> None:
    found, _ = counted(kept(ring_of(Pair(0), span(2, "u"), Pair(3), capacity=4)))
    (one, _) = counted(found.of_trace("u"))
    assert [each and each.start_ns for each in one.spans()] == [2]
    (none, _) = counted(found.of_trace("v"))
    assert list(none.spans()) == []


def test_what_comes_later_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "LOOKS", 2)
    ring = ring_of(*map(span, range(5)), capacity=5)
    pieces = kept(ring)
    next(pieces)
    ring.add(span(9))
    found, _ = counted(pieces)
    assert [each and each.start_ns for each in found.spans()] == list(range(5))


def test_a_piece_has_so_many_records() -> None:
    ring = ring_of(*map(span, range(3 * LOOKS)))
    found, pieces = counted(kept(ring))
    assert pieces >= 3
    assert longest(found.spans()) <= RECORDS
    _, pieces = counted(found.of_trace("u"))
    assert pieces >= 3


TRACES = 4 * RECORDS


@pytest.mark.parametrize("parent", [None, "elsewhere"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_list_is_made_in_pieces(parent: str | None, order: Any) -> None:
    spans = [span(number, f"t{number}", parent) for number in range(TRACES)]
    found, _ = counted(kept(ring_of(*spans)))
    query = TracesQuery(sort_order=order, offset=2, limit=2 * ITEMS)
    answer, pieces = counted(list_traces(found, query, ENGINE))
    assert pieces >= TRACES / RECORDS + 1
    rows = json.loads(answer)
    starts = range(TRACES) if order == "asc" else range(TRACES - 1, -1, -1)
    assert rows["total"] == TRACES
    assert [row["start_time_unix_nano"] for row in rows["spans"]] == list(starts)[2:][: 2 * ITEMS]


def test_a_trace_that_began_elsewhere_and_ends_here() -> None:
    """Its first span arrives last, as it does when a worker's spans come before the engine's."""
    spans = [span(2, "t", "1"), span(3, "t", "1"), span(1, "t")]
    found, _ = counted(kept(ring_of(*spans, span(9, "t", "1"))))
    answer, _ = counted(list_traces(found, TracesQuery(), ENGINE))
    assert [row["span_id"] for row in json.loads(answer)["spans"]] == ["1"]


def test_one_trace_of_very_many_spans() -> None:
    spans = [span(number, "t", "missing" if number else "gone") for number in range(TRACES)]
    found, _ = counted(kept(ring_of(*spans)))
    answer, pieces = counted(list_traces(found, TracesQuery(), ENGINE))
    assert json.loads(answer)["spans"][0]["span_id"] == "0"
    assert pieces >= TRACES / RECORDS
    answer, pieces = counted(tree(found, TreeQuery("t"), ENGINE))
    assert len(json.loads(answer)["roots"]) == TRACES
    assert pieces >= TRACES / RECORDS + TRACES / ITEMS


def test_durations_are_read_in_pieces() -> None:
    spans = [span(number * 1_000_000) for number in range(TRACES)]
    took, pieces = counted(performance(ring_of(*spans)))
    assert pieces >= TRACES / RECORDS
    assert (took.min_duration_ms, took.max_duration_ms) == (0, TRACES - 1)
