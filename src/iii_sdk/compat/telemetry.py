"""Trace context and baggage for programs, under the names of the published client.

They act on the call that is being handled; outside of handlers there is nothing to act on, and
`with_span` begins a trace. Nothing here needs OpenTelemetry but `get_tracer` and `get_meter`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from iii_sdk.call import Call
from iii_sdk.compat import lifetime
from iii_sdk.compat.handlers import current_instance
from iii_sdk.current_call import active, enter, inside
from iii_sdk.telemetry import Exporter, Span
from iii_sdk.telemetry.spans import sampled
from iii_sdk.traceparent import parse_traceparent

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """A place in a trace: whoever is called from it belongs there."""

    traceparent: str | None = None
    baggage: str | None = None


def _exporter() -> Exporter | None:
    from iii_sdk.compat.iii import III

    instance = current_instance.get() or lifetime.latest()
    return instance.telemetry if isinstance(instance, III) else None


def is_initialized() -> bool:
    """Whether an instance tells its engine of spans."""
    return _exporter() is not None


def init_otel(config: object = None, loop: object = None) -> None:
    """Join OpenTelemetry, which must be installed: its spans go to the engine too.

    Options belong to `III(otel=…)`; those given here have no effect.
    """
    exporter = _exporter()
    if exporter is not None:
        from iii_sdk.telemetry import opentelemetry

        opentelemetry.install(exporter)


def get_tracer() -> Any:
    """A tracer of OpenTelemetry, which must be installed."""
    init_otel()
    from opentelemetry import trace

    return trace.get_tracer("iii_sdk")


def get_meter() -> Any:
    """A meter of OpenTelemetry, which must be installed; the engine is told what it counts."""
    exporter = _exporter()
    if exporter is not None and exporter.settings.metrics_enabled:
        from iii_sdk.telemetry import opentelemetry_metrics

        opentelemetry_metrics.install(exporter)
    from opentelemetry import metrics

    return metrics.get_meter("iii_sdk")


async def with_span(
    name: str,
    fn: Callable[[Span], Awaitable[T] | T],
    *,
    kind: Any = None,
    traceparent: str | None = None,
) -> T:
    """Run `fn(span)` in a span, below the current one or that of `traceparent`; its result.

    `kind` is accepted and has no effect: the span is an internal one.
    """
    parent = active()
    span = Span(name, traceparent or (None if parent is None else parent.traceparent))
    span.baggage = None if parent is None else parent.baggage
    exporter = _exporter()
    failure: str | None = None
    with inside(span):
        try:
            result = fn(span)
            return await result if inspect.isawaitable(result) else result
        except BaseException as error:
            span.caught(error)
            failure = str(error) or type(error).__name__
            raise
        finally:
            span.end(failure)
            if exporter is not None and sampled(span.traceparent):
                exporter.span(span)


def current_trace_id() -> str | None:
    """32 hexadecimal digits; None outside of a trace."""
    ids = parse_traceparent(inject_traceparent() or "")
    return None if ids is None else ids[0]


def current_span_id() -> str | None:
    """16 hexadecimal digits; None outside of a trace."""
    ids = parse_traceparent(inject_traceparent() or "")
    return None if ids is None else ids[1]


def current_span() -> Span | None:
    """The span being recorded here; None when there is none, or nobody wants it."""
    now = active()
    return now.span if isinstance(now, Call) else now if isinstance(now, Span) else None


def current_span_is_recording() -> bool:
    return current_span() is not None


def set_current_span_attribute(key: str, value: object) -> None:
    """Add an attribute to the current span, if there is one."""
    if (span := current_span()) is not None:
        span.set(key, value)


def set_current_span_error(message: str) -> None:
    """Let the current span count as failed, if there is one."""
    if (span := current_span()) is not None:
        span.error = message


def record_span_event(name: str, attrs: dict[str, object] | None = None) -> None:
    """Note an event in the current span, if there is one."""
    if (span := current_span()) is not None:
        span.event(name, **(attrs or {}))


def shutdown_otel() -> None:
    """Here for programs that call it: `shutdown` of the instance sends what waits."""


async def shutdown_otel_async() -> None:
    """As `shutdown_otel`."""


async def flush_otel() -> None:
    """Here for programs that call it: records leave within a second by themselves."""


def inject_traceparent() -> str | None:
    """The W3C traceparent that a call made now carries."""
    now = active()
    return None if now is None else now.traceparent


def inject_baggage() -> str | None:
    """The W3C baggage that a call made now carries."""
    now = active()
    return None if now is None else now.baggage


def extract_context(traceparent: str | None = None, baggage: str | None = None) -> Context:
    """A context from what came with a message; `use_context` makes it the current one."""
    return Context(traceparent, baggage)


def extract_traceparent(traceparent: str) -> Context:
    return Context(traceparent=traceparent)


def extract_baggage(baggage: str) -> Context:
    return Context(baggage=baggage)


def use_context(context: Context) -> None:
    """What follows in this task or thread happens in this context."""
    enter(context)


def get_all_baggage() -> dict[str, str]:
    """The entries of the current baggage; properties of entries are left out."""
    entries = (
        part.partition(";")[0].partition("=") for part in (inject_baggage() or "").split(",")
    )
    return {key.strip(): unquote(value.strip()) for key, equals, value in entries if equals}


def get_baggage_entry(key: str) -> str | None:
    return get_all_baggage().get(key)


def set_baggage_entry(key: str, value: str) -> Context:
    """Calls made from now on in this task or thread carry the entry; the new context."""
    return _with_baggage({**get_all_baggage(), key: value})


def remove_baggage_entry(key: str) -> Context:
    """Calls made from now on in this task or thread do not carry the entry; the new context."""
    return _with_baggage({k: v for k, v in get_all_baggage().items() if k != key})


def _with_baggage(entries: dict[str, str]) -> Context:
    text = ",".join(f"{key}={quote(value, safe='')}" for key, value in entries.items())
    context = Context(inject_traceparent(), text or None)
    enter(context)
    return context
