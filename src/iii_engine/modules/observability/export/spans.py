"""Spans as an OTLP request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from iii_engine.core.spans import Resource, Scope, Span
from iii_engine.core.tracing import Recorded
from iii_engine.modules.observability.export import messages as otlp
from iii_engine.modules.observability.export.values import key_values, resource

KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
CODES: Final = {"unset": 0, "ok": 1, "error": 2}


def traces_request(
    records: Iterable[Recorded], engine: Resource, scope: Scope
) -> otlp.TracesRequest:
    """Grouped by resource and scope; those of the engine are `engine` and `scope`."""
    groups: dict[int, tuple[Resource, dict[tuple[str, str], list[otlp.Span]]]] = {}
    for record in records:
        for span in record.spans():
            source = span.resource or engine
            own = span.scope or (scope if span.resource is None else Scope())
            _, scopes = groups.setdefault(id(source), (source, {}))
            name = (own.name or "", own.version or "")
            scopes.setdefault(name, []).append(_span(span))
    return otlp.TracesRequest(
        [
            otlp.ResourceSpans(
                resource(source.attributes),
                [otlp.ScopeSpans(otlp.Scope(*name), spans) for name, spans in scopes.items()],
            )
            for source, scopes in groups.values()
        ]
    )


def _span(span: Span) -> otlp.Span:
    return otlp.Span(
        span.trace_id,
        span.span_id,
        span.name,
        KINDS[span.kind],
        str(span.start_ns),
        str(span.end_ns),
        span.parent_span_id or "",
        key_values(span.attributes),
        [
            otlp.Event(str(event.time_ns), event.name, key_values(event.attributes))
            for event in span.events
        ],
        [
            otlp.Link(link.trace_id, link.span_id, link.trace_state, key_values(link.attributes))
            for link in span.links
        ],
        otlp.Status(CODES[span.status], span.status_description or ""),
        span.flags or 0,
    )
