from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from iii_engine.core.clock import VirtualClock
from iii_engine.core.turns import at_once
from iii_engine.modules.observability.logs import listing
from iii_engine.modules.observability.logs.listing import LogRows, LogsQuery
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.logs.store import LogStore
from iii_engine.modules.observability.options import ObservabilityOptions
from iii_engine.modules.observability.settings import resolve

MS = 1_000_000


@pytest.fixture
def records(record: Callable[..., LogRecord]) -> list[LogRecord]:
    return [
        record("late", timestamp_unix_nano=1000 * MS, severity_number=13, severity_text="WARN"),
        record("a", timestamp_unix_nano=3000 * MS, trace_id="t1", span_id="s1"),
        record("b", timestamp_unix_nano=3000 * MS, trace_id="t1", span_id="s2"),
        record("c", timestamp_unix_nano=0, observed_timestamp_unix_nano=2000 * MS),
    ]


def list_logs(records: list[LogRecord], query: LogsQuery) -> LogRows:
    store = LogStore(VirtualClock(3000 * MS))
    store.use(resolve(ObservabilityOptions(), {}))
    store.take(records)
    answer = at_once(listing.list_logs(store, query, 5))
    return msgspec.json.decode(answer, type=LogRows)


@pytest.mark.parametrize(
    ("query", "bodies"),
    [
        ({}, ["b", "a", "c", "late"]),
        ({"start_time": 2000}, ["b", "a", "c"]),
        ({"end_time": 2000.0}, ["c", "late"]),
        ({"start_time": 1001, "end_time": 2999}, ["c"]),
        ({"start_time": 10**30}, []),
        ({"trace_id": "t1"}, ["b", "a"]),
        ({"trace_id": "t1", "span_id": "s1"}, ["a"]),
        ({"severity_min": 10}, ["late"]),
        ({"severity_text": "warn"}, ["late"]),
        ({"severity_text": "war"}, []),
    ],
)
def test_filters_and_order(
    records: list[LogRecord], query: dict[str, Any], bodies: list[str]
) -> None:
    found = list_logs(records, msgspec.convert(query, LogsQuery))
    assert ([r.body for r in found.logs], found.total) == (bodies, len(bodies))


def test_pages_and_the_query(records: list[LogRecord]) -> None:
    found = msgspec.to_builtins(list_logs(records, LogsQuery(offset=1, limit=2)))
    assert [r["body"] for r in found["logs"]] == ["a", "c"]
    assert (found["total"], found["timestamp"]) == (4, 5)
    assert found["query"] == {
        "start_time": None,
        "end_time": None,
        "trace_id": None,
        "span_id": None,
        "severity_min": None,
        "severity_text": None,
        "offset": 1,
        "limit": 2,
    }
