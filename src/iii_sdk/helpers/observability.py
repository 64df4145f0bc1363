"""Trace context, baggage, spans and the log."""

from iii_sdk.compat import Logger, OtelConfig, ReconnectionConfig
from iii_sdk.compat.telemetry import (
    current_span_id,
    current_span_is_recording,
    current_trace_id,
    extract_baggage,
    extract_traceparent,
    flush_otel,
    init_otel,
    inject_baggage,
    inject_traceparent,
    record_span_event,
    set_current_span_attribute,
    set_current_span_error,
    shutdown_otel,
    with_span,
)

__all__ = [
    "Logger",
    "OtelConfig",
    "ReconnectionConfig",
    "current_span_id",
    "current_span_is_recording",
    "current_trace_id",
    "extract_baggage",
    "extract_traceparent",
    "flush_otel",
    "init_otel",
    "inject_baggage",
    "inject_traceparent",
    "record_span_event",
    "set_current_span_attribute",
    "set_current_span_error",
    "shutdown_otel",
    "with_span",
]
