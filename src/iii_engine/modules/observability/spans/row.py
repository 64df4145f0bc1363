"""A span as query functions show it."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType

from iii_engine.core.spans import Attributes, Resource, Span, SpanStatus
from iii_engine.version import VERSION

#: The scope of the engine's own spans.
ENGINE_SCOPE = "iii"


class EventRow(Struct):
    name: str
    timestamp_unix_nano: int
    attributes: list[tuple[str, str]]


class LinkRow(Struct):
    trace_id: str
    span_id: str
    trace_state: str
    attributes: list[tuple[str, str]]


class SpanRow(Struct, kw_only=True):
    """Times are nanoseconds since the Unix epoch; the values of attributes are text."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    start_time_unix_nano: int
    end_time_unix_nano: int
    status: SpanStatus
    status_description: str | UnsetType = UNSET
    attributes: list[tuple[str, str]]
    service_name: str
    events: list[EventRow]
    links: list[LinkRow]
    instrumentation_scope_name: str | UnsetType = UNSET
    instrumentation_scope_version: str | UnsetType = UNSET
    flags: int | UnsetType = UNSET


class SpanNode(SpanRow, kw_only=True):
    """A span with those below it, by their start."""

    children: list[SpanNode]


def row(span: Span, engine: Resource) -> SpanRow:
    """`engine` is the resource of spans that name none."""
    scope = (ENGINE_SCOPE, VERSION)
    if span.scope is not None:
        scope = (span.scope.name or "", span.scope.version or "")
    return SpanRow(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=span.name,
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        status=span.status,
        status_description=span.status_description or UNSET,
        attributes=texts(span.attributes),
        service_name=(span.resource or engine).service_name,
        events=[EventRow(e.name, e.time_ns, texts(e.attributes)) for e in span.events],
        links=[
            LinkRow(link.trace_id, link.span_id, link.trace_state, texts(link.attributes))
            for link in span.links
        ],
        instrumentation_scope_name=scope[0] or UNSET,
        instrumentation_scope_version=scope[1] or UNSET,
        flags=UNSET if span.flags is None else span.flags,
    )


def texts(attributes: Attributes) -> list[tuple[str, str]]:
    """Values that are no text, as JSON has them."""
    return [
        (key, value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for key, value in attributes
    ]
