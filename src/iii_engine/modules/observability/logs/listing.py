"""`engine::logs::list`."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from iii_engine.core.turns import Pieces
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.logs.store import LogStore
from iii_engine.modules.pieces import array, paced
from iii_engine.modules.sorting import RUN, Sorted


class LogsQuery(Struct):
    """All that is given must hold. Times are in milliseconds, both ends included."""

    start_time: float | None = None
    end_time: float | None = None
    trace_id: str | None = None
    span_id: str | None = None
    severity_min: int | None = None
    severity_text: str | None = None
    offset: Annotated[int, Meta(ge=0)] | None = None
    limit: Annotated[int, Meta(ge=0)] | None = None


class LogRows(Struct):
    """Schema of the answer; the newest first. `total` counts what matches before `offset` and
    `limit`."""

    logs: list[LogRecord]
    total: int
    query: LogsQuery
    timestamp: int


def list_logs(store: LogStore, query: LogsQuery, now_ms: int) -> Pieces[bytes]:
    """`LogRows` as JSON: of what is stored when the first piece is asked for."""
    offset = query.offset or 0
    found: Sorted[LogRecord] = Sorted(
        attrgetter("effective_ns"),
        descending=True,
        wanted=None if query.limit is None else offset + query.limit,
    )
    for record in paced(store.newest_first(), RUN):
        if record is None:
            yield
        elif store.recent(record) and _matches(record, query):
            found.add(record)
    rows = (
        None if record is None else msgspec.json.encode(record) for record in found.page(offset)
    )
    tail = b'],"total":%d,"query":%b,"timestamp":%d}' % (
        len(found),
        msgspec.json.encode(query),
        now_ms,
    )
    answer = yield from array(rows, head=b'{"logs":[', tail=tail)
    return answer


def _matches(record: LogRecord, query: LogsQuery) -> bool:
    text = query.severity_text
    return (
        (query.start_time is None or record.effective_ns / 1e6 >= query.start_time)
        and (query.end_time is None or record.effective_ns / 1e6 <= query.end_time)
        and query.trace_id in (None, record.trace_id)
        and query.span_id in (None, record.span_id)
        and (query.severity_min is None or record.severity_number >= query.severity_min)
        and (text is None or record.severity_text.lower() == text.lower())
    )
