"""OpenTelemetry and this SDK in one program: spans of either are parents of the other's.

Nothing imports this but a program that uses OpenTelemetry already, or asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from iii_sdk import current_call
from iii_sdk.current_call import Traced
from iii_sdk.telemetry import otlp
from iii_sdk.telemetry.exporter import Exporter
from iii_sdk.traceparent import parse_traceparent

#: OTLP counts kinds from 1, with 0 for none.
KIND_OFFSET: Final = 1


def install(exporter: Exporter) -> None:
    """Send the spans of the program too, and let them and ours be parents of each other.

    A program without a tracer provider gets one. Of several instances in a process the first one
    tells of the program's spans, until it is shut down.
    """
    if _forward.exporter is not None:
        if _forward.exporter.closed:
            _forward.exporter = exporter
        return
    _forward.exporter = exporter
    current_call.join(_OpenTelemetry())
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(resource=Resource.create({**exporter.resource}))
        trace.set_tracer_provider(provider)
    provider.add_span_processor(_forward)


class _Current:
    """The span that OpenTelemetry calls current."""

    def __init__(self, of: trace.SpanContext, carried: str | None) -> None:
        self.traceparent = f"00-{of.trace_id:032x}-{of.span_id:016x}-{int(of.trace_flags):02x}"
        self.baggage = carried


class _OpenTelemetry:
    def current(self) -> Traced | None:
        ours = current_call.current_call.get()
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return ours
        if ours is not None and f"-{found.span_id:016x}-" in (ours.traceparent or ""):
            return ours
        entries = baggage.get_all()
        carried = ",".join(f"{key}={quote(str(value))}" for key, value in entries.items())
        return _Current(found, carried or (None if ours is None else ours.baggage))

    def enter(self, traced: Traced) -> Callable[[], None]:
        ids = parse_traceparent(traced.traceparent or "")
        if ids is None:
            return lambda: None
        trace_id, span_id = ids
        flags = trace.TraceFlags(int((traced.traceparent or "00")[-2:], 16))
        parent = trace.SpanContext(int(trace_id, 16), int(span_id, 16), True, flags)
        inside = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        if traced.baggage:
            inside = W3CBaggagePropagator().extract({"baggage": traced.baggage}, inside)
        return partial(context.detach, context.attach(inside))


class _Forward(SpanProcessor):
    """Hands spans that have ended to our exporter, which is bounded and never waits."""

    exporter: Exporter | None = None

    def on_end(self, span: ReadableSpan) -> None:
        ids = span.context
        if ids is not None and ids.trace_flags.sampled and self.exporter is not None:
            self.exporter.span(_Foreign(span, ids))


_forward: Final = _Forward()


class _Foreign:
    """A span of OpenTelemetry among ours."""

    def __init__(self, span: ReadableSpan, ids: trace.SpanContext) -> None:
        self._span = span
        self._ids = ids

    def otlp(self) -> dict[str, Any]:
        """As OTLP has it."""
        span, ids = self._span, self._ids
        record: dict[str, Any] = {
            "traceId": f"{ids.trace_id:032x}",
            "spanId": f"{ids.span_id:016x}",
            "name": span.name,
            "kind": span.kind.value + KIND_OFFSET,
            "startTimeUnixNano": str(span.start_time or 0),
            "endTimeUnixNano": str(span.end_time or 0),
            "attributes": otlp.attributes(span.attributes or {}),
            "events": [
                {
                    "name": event.name,
                    "timeUnixNano": str(event.timestamp),
                    "attributes": otlp.attributes(event.attributes or {}),
                }
                for event in span.events
            ],
            "status": {"code": span.status.status_code.value},
        }
        if span.parent is not None:
            record["parentSpanId"] = f"{span.parent.span_id:016x}"
        if span.status.description:
            record["status"]["message"] = span.status.description
        return record
