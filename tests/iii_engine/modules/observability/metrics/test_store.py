"""What is kept of the metrics that workers report, and for how long."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest
from tests.support.reports import SECOND, report, spread

from iii_engine.core.clock import VirtualClock
from iii_engine.core.meters import Distribution
from iii_engine.modules.observability.metrics import store as stores
from iii_engine.modules.observability.metrics.metric import Metric
from iii_engine.modules.observability.metrics.series import MAX_SERIES, SeriesTable
from iii_engine.modules.observability.metrics.store import MetricStore
from iii_engine.modules.observability.options import ObservabilityOptions
from iii_engine.modules.observability.settings import resolve


def made(clock: VirtualClock, **options: Any) -> MetricStore:
    store = MetricStore(clock)
    store.use(resolve(msgspec.convert(options, ObservabilityOptions), {}))
    return store


def test_reports_are_found_by_name_and_time_of_receipt() -> None:
    clock = VirtualClock(100 * SECOND)
    store = made(clock)
    first, other = report("a", 1, at_ns=90 * SECOND), report("b", 2, at_ns=91 * SECOND)
    last = report("a", 3, at_ns=92 * SECOND)
    store.take([first, other])
    store.take([last])
    assert list(store.find()) == [first, other, last]
    assert list(store.find("a")) == [first, last]
    assert list(store.find(start_ns=91 * SECOND)) == [other, last]
    assert list(store.find(end_ns=91 * SECOND)) == [first, other]
    assert len(store) == 3


def test_what_is_older_than_the_retention_is_gone() -> None:
    clock = VirtualClock(0)
    store = made(clock, metrics_retention_seconds=10)
    store.take([report("a", 1, at_ns=0)])
    clock.advance(10)
    assert len(list(store.find())) == 1
    assert len(store.series) == 1
    clock.advance(0.001)
    assert list(store.find()) == []
    assert len(store.series) == 0


def test_the_oldest_reports_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    store = made(VirtualClock(0), metrics_max_count=3)
    for number in range(5):
        store.take([report(str(number), 1, at_ns=0)])
    assert [metric.name for metric in store.find()] == ["2", "3", "4"]
    monkeypatch.setattr(stores, "MAX_POINTS", 5)
    store.take([report("x", 1, 2, 3, 4, at_ns=0)])
    assert [metric.name for metric in store.find()] == ["4", "x"]


def test_fewer_are_kept_from_the_moment_the_limit_is_lower() -> None:
    store = made(VirtualClock(0))
    store.take([report(str(number), 1, at_ns=0) for number in range(5)])
    store.use(resolve(ObservabilityOptions(metrics_max_count=2), {}))
    assert len(store) == 2


def test_further_names_are_dropped_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stores, "MAX_NAMES", 2)
    clock = VirtualClock(0)
    store = made(clock, metrics_retention_seconds=10)
    with caplog.at_level(logging.WARNING):
        store.take([report(name, 1, at_ns=0) for name in "abcda"])
    assert [metric.name for metric in store.find()] == ["a", "b", "a"]
    assert len(caplog.records) == 1
    clock.advance(11)
    store.take([report(name, 1, at_ns=clock.now_ns()) for name in "cd"])
    assert [metric.name for metric in store.find()] == ["c", "d"]


def test_who_listens_gets_what_was_kept_and_nothing_when_metrics_are_off() -> None:
    heard: list[list[Metric]] = []
    store = made(VirtualClock(0))
    store.listeners.append(lambda metrics: heard.append(list(metrics)))
    metric = report("a", 1, at_ns=0)
    store.take([metric])
    store.use(resolve(ObservabilityOptions(metrics_enabled=False), {}))
    store.take([metric])
    assert heard == [[metric]]
    assert len(store) == 1


# -- series ----------------------------------------------------------------------------------------


def values(table: SeriesTable) -> list[Any]:
    return [series.value for series in table]


def test_a_series_is_a_name_a_service_and_attributes_in_any_order() -> None:
    table = SeriesTable()
    table.take(report("g", 1, at_ns=0, a="1", b="2"))
    table.take(report("g", 2, at_ns=0, b="2", a="1"))
    table.take(report("g", 3, at_ns=0, service="other", a="1", b="2"))
    assert values(table) == [2, 3]


def test_increases_add_up_and_totals_replace_each_other() -> None:
    table = SeriesTable()
    for _ in range(2):
        table.take(report("delta", 5, at_ns=0, kind="counter"))
        table.take(report("total", 5, at_ns=0, kind="counter", cumulative=True))
        table.take(spread("h", 1, 0, 2, total=30, at_ns=0))
    assert values(table) == [10, 5, Distribution(6, 60, (2, 0, 4), (1, 10))]
    table.take(spread("h", 1, 1, bounds=(5,), total=9, at_ns=0))
    assert values(table)[-1] == Distribution(2, 9, (1, 1), (5,))


def test_the_series_that_was_silent_longest_goes_first() -> None:
    table = SeriesTable()
    for number in range(MAX_SERIES):
        table.take(report(str(number), 1, at_ns=number))
    table.take(report("0", 2, at_ns=MAX_SERIES))
    table.take(report("new", 1, at_ns=MAX_SERIES))
    assert len(table) == MAX_SERIES
    assert {"0", "new"} <= {series.name for series in table}
    assert "1" not in {series.name for series in table}
    table.forget(MAX_SERIES)
    assert [series.name for series in table] == ["0", "new"]
