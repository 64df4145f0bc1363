"""Spans as lines for people: one each."""

from __future__ import annotations

from collections.abc import Iterable

from iii_engine.core.spans import Resource
from iii_engine.core.tracing import Recorded


def span_lines(records: Iterable[Recorded], engine: Resource) -> str:
    """`span call f 1.500ms ok service=iii trace=… id=… parent=…`, each with its line break."""
    lines = []
    for record in records:
        for span in record.spans():
            service = (span.resource or engine).service_name
            took = (span.end_ns - span.start_ns) / 1e6
            parent = f" parent={span.parent_span_id}" if span.parent_span_id else ""
            why = f" ({span.status_description})" if span.status_description else ""
            lines.append(
                f"span {span.name} {took:.3f}ms {span.status}{why} service={service} "
                f"trace={span.trace_id} id={span.span_id}{parent}"
            )
    # A name may hold anything; a line stays a line.
    return "".join(f"{''.join(c if c.isprintable() else '?' for c in line)}\n" for line in lines)
