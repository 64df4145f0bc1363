"""`engine::traces::list`: traces by their first spans."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta, Struct

from iii_engine.core.spans import Resource, Span
from iii_engine.modules.observability.spans.roots import by_trace, entries
from iii_engine.modules.observability.spans.row import SpanRow, row, texts


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
    """`total` counts what matches before `offset` and `limit`."""

    spans: list[SpanRow]
    total: int
    offset: int
    limit: int


def list_traces(spans: Iterable[Span], query: TracesQuery, engine: Resource) -> TraceRows:
    """`engine` is the resource of spans that name none."""
    found = [
        root
        for trace in by_trace(spans).values()
        for root in entries(trace)
        if _matches(root, query, engine) and _named(root, trace, query)
    ]
    _sort(found, query)
    offset, limit = query.offset or 0, 100 if query.limit is None else query.limit
    page = found[offset : offset + limit]
    return TraceRows([row(span, engine) for span in page], len(found), offset, limit)


def _sort(found: list[Span], query: TracesQuery) -> None:
    descending = query.sort_order == "desc"
    match query.sort_by:
        case "duration":
            found.sort(key=lambda span: span.end_ns - span.start_ns, reverse=descending)
        case "name":
            found.sort(key=lambda span: span.name, reverse=descending)
        case _:
            found.sort(key=lambda span: span.start_ns, reverse=descending)


def _named(root: Span, trace: list[Span], query: TracesQuery) -> bool:
    """The filter `name`, which may be about any span of the trace."""
    return any(
        _has(span.name, query.name) for span in (trace if query.search_all_spans else [root])
    )


def _matches(root: Span, query: TracesQuery, engine: Resource) -> bool:
    """Every filter but `name`."""
    duration_ms = (root.end_ns - root.start_ns) / 1e6
    return (
        query.trace_id in (None, root.trace_id)
        and (query.include_internal or not _is_internal(root))
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
