"""Prometheus's text format, read again by a strict reader."""

from __future__ import annotations

import math

import pytest
from tests.support.prometheus import Family, parse
from tests.support.reports import report, spread

from iii_engine.core.meters import Distribution, Meters
from iii_engine.modules.observability.metrics.exposition import exposition
from iii_engine.modules.observability.metrics.metric import Metric
from iii_engine.modules.observability.metrics.series import SeriesTable


def page(meters: Meters, *metrics: Metric) -> dict[str, Family]:
    series = SeriesTable()
    for metric in metrics:
        series.take(metric)
    return parse(exposition(meters.collect(), series))


def test_nothing_is_an_empty_page() -> None:
    assert page(Meters()) == {}


def test_counters_and_gauges_with_their_labels_and_help() -> None:
    meters = Meters()
    requests = meters.counter("iii.http.requests", ("route", "status"), description="Answered")
    requests.add("/a", "200", amount=3)
    meters.observe("queue.depth", lambda: [((), 1.5)])
    families = page(meters)
    assert families["iii_http_requests"] == Family(
        "counter",
        "Answered",
        {("iii_http_requests", frozenset({("route", "/a"), ("status", "200")})): 3},
    )
    assert families["queue_depth"].value("queue_depth") == 1.5


def test_the_buckets_of_a_histogram_include_the_smaller_ones() -> None:
    meters = Meters()
    histogram = meters.histogram("took", ("f",), bounds=(0.5, 2.5))
    for value in (0.1, 0.2, 2, 9):
        histogram.record(value, "x")
    family = page(meters)["took"]
    assert family.value("took_bucket", f="x", le="0.5") == 2
    assert family.value("took_bucket", f="x", le="2.5") == 3
    assert family.value("took_bucket", f="x", le="+Inf") == 4
    assert family.value("took_sum", f="x") == pytest.approx(11.3)
    assert family.value("took_count", f="x") == 4


@pytest.mark.parametrize("value", ['a"b', "back\\slash", "line\nbreak", "ünï{},=", "", "\r\u2028"])
def test_any_text_may_be_a_label(value: str) -> None:
    meters = Meters()
    meters.counter("c", ("k",), description=value).add(value)
    assert page(meters)["c"].value("c", k=value) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a.b-c d", "a_b_c_d"), ("9lives", "_9lives"), ("", "_"), ("ö", "_"), ("a:b", "a:b")],
)
def test_names_get_the_form_that_prometheus_allows(name: str, shown: str) -> None:
    meters = Meters()
    meters.counter(name).add()
    assert list(page(meters)) == [shown]


def test_label_names_too_and_those_of_prometheus_are_kept_apart() -> None:
    meters = Meters()
    meters.counter("c", ("worker.id", "__x", "1", "le")).add("a", "b", "c", "d")
    meters.observe(
        "h", lambda: [(("z",), Distribution(1, 1, (1, 0), (1,)))], ("le",), kind="histogram"
    )
    families = page(meters)
    assert families["c"].value("c", worker_id="a", exported___x="b", _1="c", le="d") == 1
    assert families["h"].value("h_count", exported_le="z") == 1


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e300, 1e-9, -2, 2**60])
def test_any_number(value: float) -> None:
    meters = Meters()
    meters.observe("g", lambda: [((), value)])
    found = page(meters)["g"].value("g")
    assert found == value or (math.isnan(value) and math.isnan(found))


def test_series_of_workers_say_whose_they_are() -> None:
    families = page(
        Meters(),
        report("tokens_used_total", 5, at_ns=0, kind="counter", service="llm-router", model="m"),
        report("tokens_used_total", 7, at_ns=0, kind="counter", service="llm-router", model="m"),
        report("active_sessions", 2, at_ns=0, kind="updowncounter", service="agent-core"),
        spread("h", 1, 2, 3, total=9, at_ns=0),
    )
    tokens = families["tokens_used_total"]
    assert tokens.type == "counter"
    assert tokens.value("tokens_used_total", service_name="llm-router", model="m") == 12
    assert families["active_sessions"].type == "gauge"
    assert families["h"].value("h_bucket", service_name="svc", le="10") == 3


def test_names_that_become_the_same_do_not_spoil_the_page() -> None:
    meters = Meters()
    meters.counter("a.b").add()
    meters.counter("a_b", ("k",)).add("v")
    meters.histogram("h").record(1)
    families = page(
        meters,
        report("a-b", 1, at_ns=0),
        report("h.count", 1, at_ns=0, kind="counter"),
        report("x.sum", 1, at_ns=0),
        spread("x", 1, 0, 0, at_ns=0),
        spread("a.b", 1, 0, 0, at_ns=0),
        report("g", 1, at_ns=0, **{"k.1": "a"}),
        report("g", 2, at_ns=0, **{"k-1": "a"}),
        report("g", 3, at_ns=0, **{"service.name": "mine"}),
    )
    assert sorted(families) == ["a_b", "g", "h", "x_sum"]
    assert families["a_b"].samples == {
        ("a_b", frozenset()): 1,
        ("a_b", frozenset({("k", "v")})): 1,
    }
    assert families["g"].value("g", service_name="svc", k_1="a") == 1


@pytest.mark.parametrize(("counts", "bounds"), [((), ()), ((1, 3), (1, 2, 3)), ((4,), ())])
def test_a_histogram_without_proper_buckets_still_has_its_count(
    counts: tuple[int, ...], bounds: tuple[float, ...]
) -> None:
    meters = Meters()
    meters.observe("h", lambda: [((), Distribution(4, 2, counts, bounds))], kind="histogram")
    family = page(meters)["h"]
    assert family.value("h_bucket", le="+Inf") == family.value("h_count") == 4
