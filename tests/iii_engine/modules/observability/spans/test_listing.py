from __future__ import annotations

from typing import Any

import msgspec
import pytest

from iii_engine.core.spans import Attributes, Resource, Scope, Span, SpanEvent, SpanLink
from iii_engine.core.turns import at_once
from iii_engine.modules.observability.spans import listing
from iii_engine.modules.observability.spans.gathering import Kept
from iii_engine.modules.observability.spans.listing import TraceRows, TracesQuery
from iii_engine.modules.observability.spans.row import row
from iii_engine.version import VERSION

ENGINE = Resource("iii", {})
WORKER = Resource("Shop", {})
MS = 1_000_000


def span(
    name: str, trace: str = "t1", number: int = 1, parent: int | None = None, **fields: Any
) -> Span:
    """A span of `number` milliseconds that begins at that millisecond."""
    base: dict[str, Any] = {
        "trace_id": trace,
        "span_id": f"{number}",
        "parent_span_id": None if parent is None else f"{parent}",
        "name": name,
        "kind": "server",
        "start_ns": number * MS,
        "end_ns": 2 * number * MS,
        "status": "ok",
    }
    return Span(**{**base, **fields})


SPANS = [
    span("call inner", "t1", 2, parent=1),
    span("GET /orders", "t1", 1, attributes=(("http.route", "/orders"), ("n", 3), ("on", True))),
    span("enqueue", "t2", 4, status="error", resource=WORKER),
    span("call engine::x", "t3", 6, attributes=(("function_id", "engine::x"),)),
    span("call state::get", "t4", 5, attributes=(("iii.function.kind", "internal"),)),
    span("call lost", "t5", 9, parent=7),
    span("call lost deeper", "t5", 10, parent=9),
]


def list_traces(query: TracesQuery) -> TraceRows:
    answer = at_once(listing.list_traces(Kept(list(SPANS)), query, ENGINE))
    return msgspec.json.decode(answer, type=TraceRows)


def found(**query: Any) -> list[str]:
    rows = list_traces(msgspec.convert(query, TracesQuery))
    assert rows.total == len(rows.spans)
    return [found.name for found in rows.spans]


def test_traces_are_listed_by_their_first_spans() -> None:
    assert found() == ["GET /orders", "enqueue", "call lost"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"trace_id": "t2"}, ["enqueue"]),
        ({"trace_id": "t"}, []),
        ({"service_name": "shop"}, ["enqueue"]),
        ({"service_name": "III"}, ["GET /orders", "call lost"]),
        ({"name": "get"}, ["GET /orders"]),
        ({"name": "inner"}, []),
        ({"name": "inner", "search_all_spans": True}, ["GET /orders"]),
        ({"status": "ERR"}, ["enqueue"]),
        ({"min_duration_ms": 4}, ["enqueue", "call lost"]),
        ({"max_duration_ms": 1.0}, ["GET /orders"]),
        ({"start_time": 9}, ["call lost"]),
        ({"end_time": 4}, ["GET /orders", "enqueue"]),
        ({"start_time": 2, "end_time": 3}, ["GET /orders"]),
        ({"attributes": [["http.route", "/orders"], ["n", "3"]]}, ["GET /orders"]),
        ({"attributes": [["on", "true"]]}, ["GET /orders"]),
        ({"attributes": [["http.route", "/orders"], ["n", "4"]]}, []),
        ({"attributes": []}, ["GET /orders", "enqueue", "call lost"]),
        ({"sort_order": "desc"}, ["call lost", "enqueue", "GET /orders"]),
        ({"sort_by": "duration", "sort_order": "desc"}, ["call lost", "enqueue", "GET /orders"]),
        ({"sort_by": "name"}, ["GET /orders", "call lost", "enqueue"]),
        (
            {"include_internal": True},
            ["GET /orders", "enqueue", "call state::get", "call engine::x", "call lost"],
        ),
    ],
)
def test_filters_and_order(query: dict[str, Any], names: list[str]) -> None:
    assert found(**query) == names


def test_pages() -> None:
    rows = list_traces(TracesQuery(offset=1, limit=1))
    assert ([r.name for r in rows.spans], rows.total, rows.offset, rows.limit) == (
        ["enqueue"],
        3,
        1,
        1,
    )
    rows = list_traces(TracesQuery())
    assert (rows.offset, rows.limit) == (0, 100)


def test_the_fields_of_a_row() -> None:
    attributes: Attributes = (("a", "x"), ("b", 1.5))
    full = span(
        "n",
        status="error",
        status_description="why",
        attributes=attributes,
        events=(SpanEvent("e", 3, attributes),),
        links=(SpanLink("t9", "9", "state", attributes),),
        resource=WORKER,
        scope=Scope("lib", "2"),
        flags=1,
    )
    assert msgspec.to_builtins(row(full, ENGINE)) == {
        "trace_id": "t1",
        "span_id": "1",
        "parent_span_id": None,
        "name": "n",
        "start_time_unix_nano": MS,
        "end_time_unix_nano": 2 * MS,
        "status": "error",
        "status_description": "why",
        "attributes": [("a", "x"), ("b", "1.5")],
        "service_name": "Shop",
        "events": [
            {"name": "e", "timestamp_unix_nano": 3, "attributes": [("a", "x"), ("b", "1.5")]}
        ],
        "links": [
            {
                "trace_id": "t9",
                "span_id": "9",
                "trace_state": "state",
                "attributes": [("a", "x"), ("b", "1.5")],
            }
        ],
        "instrumentation_scope_name": "lib",
        "instrumentation_scope_version": "2",
        "flags": 1,
    }
    own = msgspec.to_builtins(row(span("n"), ENGINE))
    assert (own["service_name"], own["instrumentation_scope_name"]) == ("iii", "iii")
    assert own["instrumentation_scope_version"] == VERSION
    assert {"status_description", "flags"}.isdisjoint(own)
