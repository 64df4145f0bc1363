"""`engine::traces::tree`: one trace, each span with those below it."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.spans import Resource, Span
from iii_engine.modules.observability.spans.roots import tops
from iii_engine.modules.observability.spans.row import SpanNode, row


class TreeQuery(Struct):
    trace_id: str


class Tree(Struct):
    """Spans whose parent is not known are roots."""

    roots: list[SpanNode]


def tree(trace: list[Span], engine: Resource) -> Raw:
    """A `Tree` as JSON. Written piece by piece, as traces may be deeper than any recursion."""
    below: dict[str, list[Span]] = {}
    for span in trace:
        if span.parent_span_id is not None:
            below.setdefault(span.parent_span_id, []).append(span)
    parts = [b'{"roots":[']
    todo: list[Span | bytes] = [b"]}"]
    _push(todo, tops(trace))
    while todo:
        item = todo.pop()
        if isinstance(item, bytes):
            parts.append(item)
            continue
        parts += (msgspec.json.encode(row(item, engine))[:-1], b',"children":[')
        todo.append(b"]}")
        children = below.pop(item.span_id, [])  # each once, also where ids are not unique
        _push(todo, sorted(children, key=lambda span: span.start_ns))
    return Raw(b"".join(parts))


def _push(todo: list[Span | bytes], spans: list[Span]) -> None:
    """Put spans, with commas between them, so that the first is popped first."""
    for number, span in reversed(list(enumerate(spans))):
        todo.append(span)
        if number:
            todo.append(b",")
