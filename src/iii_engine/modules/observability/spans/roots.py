"""Where traces begin, as far as their spans are known here."""

from __future__ import annotations

from collections.abc import Callable

from iii_engine.core.spans import Span
from iii_engine.core.turns import Pieces
from iii_engine.modules.pieces import paced
from iii_engine.modules.sorting import RUN


class Entries:
    """The spans that traces are listed by: those without a parent. `found` gets each of them.

    A trace that began elsewhere (a browser, a client that sends no spans, or a span that has not
    ended yet) has none; it is listed by the first of its spans whose parent is not here. So its
    spans are held until the end.
    """

    def __init__(self, found: Callable[[Span], None]) -> None:
        self._found = found
        self._rooted: set[str] = set()
        self._rootless: dict[str, list[Span]] = {}

    def take(self, span: Span) -> None:
        """The next span of the ring."""
        trace_id = span.trace_id
        if span.parent_span_id is None:
            self._rooted.add(trace_id)
            self._rootless.pop(trace_id, None)
            self._found(span)
        elif trace_id not in self._rooted:
            self._rootless.setdefault(trace_id, []).append(span)

    def finish(self) -> Pieces[None]:
        """There are no more spans."""
        for trace_id in paced(list(self._rootless)):
            if trace_id is None:
                yield
                continue
            first = yield from _first(self._rootless.pop(trace_id))
            if first is not None:
                self._found(first)


def _first(trace: list[Span]) -> Pieces[Span | None]:
    """The first span whose parent is not among them; the list is empty then, piece by piece."""
    known: set[str] = set()
    for span in paced(trace, RUN):
        if span is None:
            yield
        else:
            known.add(span.span_id)
    first: Span | None = None
    while trace:
        span = trace.pop()
        if span.parent_span_id not in known and (first is None or span.start_ns <= first.start_ns):
            first = span
        if len(trace) % RUN == RUN - 1:
            yield
    return first
