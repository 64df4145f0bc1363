"""The spans of the ring, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from iii_engine.core.spans import Span
from iii_engine.core.tracing import Recorded, SpanRing
from iii_engine.core.turns import Pieces

#: Records that are made spans in one piece, which takes about two milliseconds.
RECORDS: Final = 500
#: Records that are looked at in one piece, and not made spans.
LOOKS: Final = 10_000


class Kept:
    """The records in a ring at one moment, oldest first.

    Of the first one `surplus` spans do not count, as the ring has room for only so many.
    """

    def __init__(self, records: list[Recorded], surplus: int = 0) -> None:
        self.records = records
        self._surplus = surplus

    def spans(self) -> Iterator[Span | None]:
        """All spans, with None where others may go on."""
        surplus = self._surplus
        for number, record in enumerate(self.records):
            if number and number % RECORDS == 0:
                yield None
            yield from islice(record.spans(), surplus, None)
            surplus = 0

    def of_trace(self, trace_id: str) -> Pieces[Kept]:
        """What there is of one trace."""
        found: list[Recorded] = []
        for number, record in enumerate(self.records):
            if number and number % LOOKS == 0:
                yield
            if record.trace_id == trace_id:
                found.append(record)
        first = bool(found) and found[0] is self.records[0]
        return Kept(found, self._surplus if first else 0)


def kept(ring: SpanRing) -> Pieces[Kept]:
    """What is in the ring now. What comes later does not count."""
    records = ring.copy()
    room = ring.capacity
    for number, record in enumerate(reversed(records), 1):
        if number % LOOKS == 0:
            yield
        room -= record.span_count()
        if room <= 0:
            return Kept(records[-number:], -room)
    return Kept(records)
