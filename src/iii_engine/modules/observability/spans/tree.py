"""`engine::traces::tree`: one trace, each span with those below it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from iii_engine.core.spans import Resource, Span
from iii_engine.core.turns import Pieces
from iii_engine.modules.observability.spans.gathering import LOOKS, Kept
from iii_engine.modules.observability.spans.row import SpanNode, row
from iii_engine.modules.pieces import array, paced


class TreeQuery(Struct):
    trace_id: str


class Tree(Struct):
    """Spans whose parent is not known are roots."""

    roots: list[SpanNode]


def tree(kept: Kept, query: TreeQuery, engine: Resource) -> Pieces[bytes]:
    """A `Tree` as JSON. Written span by span, as traces may be deeper than any recursion."""
    kept = yield from kept.of_trace(query.trace_id)
    roots: list[Span] = []
    below: dict[str, list[Span]] = {}
    known: set[str] = set()
    for span in kept.spans():
        if span is None:
            yield
            continue
        known.add(span.span_id)
        if span.parent_span_id is None:
            roots.append(span)
        else:
            below.setdefault(span.parent_span_id, []).append(span)
    for parent in paced(list(below), LOOKS):
        if parent is None:
            yield
        elif parent not in known:
            roots += below.pop(parent)
    answer = yield from array(
        _written(roots, below, engine), head=b'{"roots":[', tail=b"]}", between=b""
    )
    return answer


def _written(roots: list[Span], below: dict[str, list[Span]], engine: Resource) -> Iterator[bytes]:
    """The spans as they begin and end, with the commas between them."""
    levels = [_by_start(roots)]
    comma = b""
    while levels:
        span = next(levels[-1], None)
        if span is None:
            levels.pop()
            if levels:
                yield b"]}"
            comma = b","
        else:
            yield b'%b%b,"children":[' % (comma, msgspec.json.encode(row(span, engine))[:-1])
            # Each once, also where ids are not unique.
            levels.append(_by_start(below.pop(span.span_id, [])))
            comma = b""


def _by_start(spans: list[Span]) -> Iterator[Span]:
    return iter(sorted(spans, key=lambda span: span.start_ns))
