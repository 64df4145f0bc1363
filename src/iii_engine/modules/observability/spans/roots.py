"""Where traces begin, as far as their spans are known here."""

from __future__ import annotations

from collections.abc import Iterable

from iii_engine.core.spans import Span


def by_trace(spans: Iterable[Span]) -> dict[str, list[Span]]:
    traces: dict[str, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    return traces


def tops(trace: list[Span]) -> list[Span]:
    """The spans of one trace that have no parent here, by their start."""
    known = {span.span_id for span in trace}
    return sorted(
        (s for s in trace if s.parent_span_id is None or s.parent_span_id not in known),
        key=lambda span: span.start_ns,
    )


def entries(trace: list[Span]) -> list[Span]:
    """The spans that one trace is listed by: those without a parent.

    A trace that began elsewhere (a browser, a client that sends no spans, or a span that has not
    ended yet) has none; it is listed by the first of its spans whose parent is not here.
    """
    roots = [span for span in trace if span.parent_span_id is None]
    return roots or tops(trace)[:1]
