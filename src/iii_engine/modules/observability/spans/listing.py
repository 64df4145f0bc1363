"""`engine::traces::list`: traces by their first spans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from iii_engine.core.spans import Resource, Span
from iii_engine.core.turns import Pieces
from iii_engine.modules.observability.spans.gathering import Kept
from iii_engine.modules.observability.spans.roots import Entries
from iii_engine.modules.observability.spans.row import SpanRow, row, texts
from iii_engine.modules.pieces import array
from iii_engine.modules.sorting import Sorted


class TracesQuery(Struct):
    """All that is given must hold. Texts are looked for anywhere, whatever their case; durations
    and times are in milliseconds; a span is within two times that it overlaps."""

    trace_id: str | None = None
    service_name: str | None = None
    name: str | None = None
    status: str | None = None
    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    start_time: float | None = None
    end_time: float | None = None
    attributes: list[tuple[str, str]] | None = None
    sort_by: Literal["start_time", "duration", "name"] | None = None
    sort_order: Literal["asc", "desc"] | None = None
    offset: Annotated[int, Meta(ge=0)] | None = None
    limit: Annotated[int, Meta(ge=0)] | None = None
    include_internal: bool | None = None
    search_all_spans: bool | None = None


class TraceRows(Struct):
    """Schema of the answer; `total` counts what matches before `offset` and `limit`."""

    spans: list[SpanRow]
    total: int
    offset: int
    limit: int


_KEYS: Final[dict[str | None, Callable[[Span], Any]]] = {
    "duration": lambda span: span.end_ns - span.start_ns,
    "name": lambda span: span.name,
}


def list_traces(kept: Kept, query: TracesQuery, engine: Resource) -> Pieces[bytes]:
    """`TraceRows` as JSON; `engine` is the resource of spans that name none."""
    if query.trace_id is not None:
        kept = yield from kept.of_trace(query.trace_id)
    named: set[str] | None = None
    if query.search_all_spans and query.name is not None:
        named = yield from _traces_with(kept, query.name)
    offset, limit = query.offset or 0, 100 if query.limit is None else query.limit
    found: Sorted[Span] = Sorted(
        _KEYS.get(query.sort_by, lambda span: span.start_ns),
        descending=query.sort_order == "desc",
        wanted=offset + limit,
    )

    def look(root: Span) -> None:
        fits = _has(root.name, query.name) if named is None else root.trace_id in named
        if fits and _matches(root, query, engine):
            found.add(root)

    entries = Entries(look)
    for span in kept.spans():
        if span is None:
            yield
        else:
            entries.take(span)
    yield from entries.finish()
    rows = (
        None if span is None else msgspec.json.encode(row(span, engine))
        for span in found.page(offset)
    )
    tail = b'],"total":%d,"offset":%d,"limit":%d}' % (len(found), offset, limit)
    answer = yield from array(rows, head=b'{"spans":[', tail=tail)
    return answer


def _traces_with(kept: Kept, name: str) -> Pieces[set[str]]:
    """The traces that have a span of such a name."""
    found: set[str] = set()
    for span in kept.spans():
        if span is None:
            yield
        elif _has(span.name, name):
            found.add(span.trace_id)
    return found


def _matches(root: Span, query: TracesQuery, engine: Resource) -> bool:
    """Every filter but `trace_id` and `name`."""
    duration_ms = (root.end_ns - root.start_ns) / 1e6
    return (
        (query.include_internal or not _is_internal(root))
        and _has((root.resource or engine).service_name, query.service_name)
        and _has(root.status, query.status)
        and (query.min_duration_ms is None or duration_ms >= query.min_duration_ms)
        and (query.max_duration_ms is None or duration_ms <= query.max_duration_ms)
        and (query.start_time is None or root.end_ns / 1e6 >= query.start_time)
        and (query.end_time is None or root.start_ns / 1e6 <= query.end_time)
        and (not query.attributes or set(query.attributes) <= set(texts(root.attributes)))
    )


def _has(value: str, part: str | None) -> bool:
    return part is None or part.lower() in value.lower()


def _is_internal(root: Span) -> bool:
    return root.attribute("iii.function.kind") == "internal" or str(
        root.attribute("function_id") or ""
    ).startswith("engine::")
