"""Spans out of a telemetry frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar, get_args

import msgspec

from iii_engine.core.sampling import Sampler
from iii_engine.core.spans import Resource, Scope, Span, SpanEvent, SpanKind, SpanLink, SpanStatus
from iii_engine.modules.observability.frames import otlp
from iii_engine.modules.observability.frames.sources import resource_of, scope_of

T = TypeVar("T")

_decoder = msgspec.json.Decoder(otlp.SpansRequest, strict=False)

#: By the numbers of OTLP; 0, which is "unspecified", counts as internal.
_KINDS: Final[tuple[SpanKind, ...]] = ("internal", *get_args(SpanKind))
_KIND_NAMES: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUSES: Final[tuple[SpanStatus, ...]] = ("unset", "ok", "error")
_STATUS_NAMES: Final = ("UNSET", "OK", "ERROR")


#: Bytes of a span as JSON. Of a larger one neither attributes, events nor links are kept.
MAX_SPAN: Final = 64 * 1024
MAX_NAME: Final = 1024


def read_spans(body: memoryview, sampler: Sampler | None) -> Iterator[Span]:
    """The spans of a frame, but for those of traces that a rule of `sampler` takes out."""
    for group in _decoder.decode(body).resource_spans or ():
        resource = resource_of(group.resource)
        for scoped in group.scope_spans or ():
            scope, spans = scope_of(scoped.scope), scoped.spans or []
            refused = _refused(spans, sampler, resource) if sampler is not None else frozenset()
            for span in spans:
                if span.trace_id not in refused:
                    if len(body) > MAX_SPAN:  # or it cannot be too large
                        _bound(span)
                    yield _span(span, resource, scope)


def _refused(spans: list[otlp.OtlpSpan], sampler: Sampler, resource: Resource) -> frozenset[str]:
    """The traces that begin here and should not."""
    return frozenset(
        span.trace_id
        for span in spans
        if not span.parent_span_id
        and not sampler.accepts(span.trace_id, span.name or "", resource.service_name)
    )


def _bound(span: otlp.OtlpSpan) -> None:
    """Cut a span that is too large."""
    size = len(msgspec.json.encode(span))
    if size > MAX_SPAN:
        cut = otlp.KeyValue("iii.span.cut_bytes", otlp.AnyValue(int_value=size))
        span.attributes, span.events, span.links = [cut], None, None
        span.name = (span.name or "")[:MAX_NAME]
        span.status = otlp.OtlpStatus(span.status.code) if span.status is not None else None
        span.trace_id, span.span_id = span.trace_id[:32], span.span_id[:16]
        span.parent_span_id = span.parent_span_id[:16] if span.parent_span_id else None


def _span(span: otlp.OtlpSpan, resource: Resource, scope: Scope) -> Span:
    status = span.status or otlp.OtlpStatus()
    start = span.start_time_unix_nano or 0
    return Span(
        trace_id=span.trace_id.lower(),
        span_id=span.span_id.lower(),
        parent_span_id=span.parent_span_id.lower() if span.parent_span_id else None,
        name=span.name or "",
        kind=_one_of(_KINDS, otlp.number(span.kind, _KIND_NAMES, "SPAN_KIND_")),
        start_ns=start,
        end_ns=max(start, span.end_time_unix_nano or 0),
        status=_one_of(_STATUSES, otlp.number(status.code, _STATUS_NAMES, "STATUS_CODE_")),
        status_description=status.message or None,
        attributes=tuple(otlp.attributes(span.attributes).items()),
        events=tuple(
            SpanEvent(
                event.name or "",
                event.time_unix_nano or 0,
                tuple(otlp.attributes(event.attributes).items()),
            )
            for event in span.events or ()
        ),
        links=tuple(
            SpanLink(
                (link.trace_id or "").lower(),
                (link.span_id or "").lower(),
                link.trace_state or "",
                tuple(otlp.attributes(link.attributes).items()),
            )
            for link in span.links or ()
        ),
        resource=resource,
        scope=scope,
        flags=span.flags,
    )


def _one_of(values: tuple[T, ...], number: int) -> T:
    return values[number] if 0 <= number < len(values) else values[0]
