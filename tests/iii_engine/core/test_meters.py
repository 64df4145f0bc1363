"""Counters, histograms and observed numbers of the engine's parts."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from iii_engine.core.meters import MAX_SERIES, OVERFLOW, Distribution, Instrument, Meters, Point


def test_a_counter_keeps_one_total_for_each_combination_of_values() -> None:
    meters = Meters()
    requests = meters.counter("r", ("route", "status"), description="requests")
    requests.add("/a", "200")
    requests.add("/a", "200", amount=2)
    requests.add("/b", "500")
    (reading,) = meters.collect()
    assert reading == (
        "r",
        "counter",
        "",
        "requests",
        ("route", "status"),
        [(("/a", "200"), 3), (("/b", "500"), 1)],
    )


def test_asking_again_returns_the_same_instrument_so_that_totals_outlive_their_module() -> None:
    meters = Meters()
    meters.counter("c").add()
    meters.counter("c").add()
    reading = meters.reading("c")
    assert reading is not None
    assert reading.points == [((), 2)]
    assert meters.reading("unknown") is None


def test_a_name_has_one_kind_and_one_set_of_attributes() -> None:
    meters = Meters()
    meters.counter("c", ("a",))
    meters.observe("g", list, kind="gauge")
    with pytest.raises(ValueError, match=r"c is a counter with the attributes \('a',\)"):
        meters.counter("c", ("b",))
    with pytest.raises(ValueError, match="counter"):
        meters.histogram("c", ("a",))
    with pytest.raises(ValueError, match="gauge"):
        meters.observe("g", list, kind="counter")


def test_values_must_fit_the_attributes() -> None:
    meters = Meters()
    with pytest.raises(ValueError, match=r"has the attributes \('a',\), not \('x', 'y'\)"):
        meters.counter("c", ("a",)).add("x", "y")
    with pytest.raises(ValueError, match="not"):
        meters.histogram("h").record(1, "x")


def test_series_are_bounded_and_the_rest_shares_one() -> None:
    meters = Meters()
    counter, histogram = meters.counter("c", ("k",)), meters.histogram("h", ("k",))
    for number in range(MAX_SERIES + 5):
        counter.add(str(number))
        histogram.record(1, str(number))
    counter.add("0")
    counted, spread = (reading.points for reading in meters.collect())
    assert len(counted) == len(spread) == MAX_SERIES + 1
    assert counted[0] == (("0",), 2)
    assert counted[-1] == ((OVERFLOW,), 5)
    assert spread[-1][0] == (OVERFLOW,)
    assert isinstance(spread[-1][1], Distribution)
    assert spread[-1][1].total == 5


def test_a_bound_is_part_of_its_bucket() -> None:
    meters = Meters()
    histogram = meters.histogram("h", unit="ms", bounds=(1, 10))
    for value in (0.5, 1, 2, 10, 11):
        histogram.record(value)
    (reading,) = meters.collect("histogram")
    assert reading.points == [((), Distribution(5, 24.5, (2, 2, 1), (1, 10), 0.5, 11))]
    assert list(meters.collect("counter", "gauge")) == []


def test_observers_are_asked_when_somebody_looks_and_until_they_end() -> None:
    meters, depth = Meters(), {"a": 1}

    def depths() -> Iterator[Point]:
        return (((queue,), float(waiting)) for queue, waiting in depth.items())

    first = meters.observe("depth", depths, ("queue",), unit="jobs")
    second = meters.observe("depth", lambda: [(("z",), 9.0)], ("queue",))
    depth["b"] = 2
    (reading,) = meters.collect()
    assert reading.kind == "gauge"
    assert reading.points == [(("a",), 1), (("b",), 2), (("z",), 9)]
    first.end()
    first.end()
    (reading,) = meters.collect()
    assert reading.points == [(("z",), 9)]
    second.end()
    assert list(meters.collect()) == []


def test_an_observer_that_fails_is_logged_and_the_others_are_still_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    meters = Meters()

    def broken() -> Iterator[Point]:
        raise RuntimeError("no number")

    meters.observe("g", broken)
    meters.observe("g", lambda: [((), 1.0)])
    with caplog.at_level(logging.ERROR):
        (reading,) = meters.collect()
    assert reading.points == [((), 1)]
    assert "g could not be observed" in caplog.text


def test_what_one_observer_tells_is_bounded() -> None:
    meters = Meters()
    meters.observe("g", lambda: (((str(n),), 1.0) for n in range(MAX_SERIES * 2)), ("k",))
    (reading,) = meters.collect()
    assert len(reading.points) == MAX_SERIES


def test_an_instrument_of_no_kind_has_no_points() -> None:
    with pytest.raises(NotImplementedError):
        Instrument("i", (), "", "").points()
