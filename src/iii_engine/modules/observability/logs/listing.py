"""`engine::logs::list`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from iii_engine.modules.observability.logs.record import LogRecord


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
    """The newest first; `total` counts what matches before `offset` and `limit`."""

    logs: list[LogRecord]
    total: int
    query: LogsQuery
    timestamp: int


def list_logs(records: Iterable[LogRecord], query: LogsQuery, now_ms: int) -> LogRows:
    found = [record for record in records if _matches(record, query)]
    found.reverse()
    found.sort(key=lambda record: record.effective_ns, reverse=True)
    offset = query.offset or 0
    end = None if query.limit is None else offset + query.limit
    return LogRows(found[offset:end], len(found), query, now_ms)


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
