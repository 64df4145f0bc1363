"""What is counted about the calls of a function."""

from __future__ import annotations

import pytest
from tests.support.bus import Bus

from iii_engine.core.tally import BOUNDS, DEPARTED, Tallies, Tally, distribution


def test_a_call_is_counted_by_the_bits_of_its_duration() -> None:
    bus = Bus()
    worker, caller = bus.peer("f"), bus.peer()
    for milliseconds in (0, 1, 2_000):
        caller.ask("f")
        bus.clock.advance(milliseconds / 1000)
        for message in worker.inbox():
            worker.answer(message)
    ((name, tally),) = [(name, tally) for name, tally in bus.engine.registry.tallies if tally.calls]
    assert (name, tally.calls, tally.errors, tally.nanoseconds) == ("f", 3, 0, 2_001_000_000)
    spread = distribution([tally])
    assert (spread.total, spread.sum) == (3, pytest.approx(2.001))
    places = [place for place, count in enumerate(spread.counts) if count]
    assert [BOUNDS[place] for place in places] == [
        pytest.approx(0.000016384),
        pytest.approx(0.001048576),
        pytest.approx(2.147483648),
    ]


def test_no_duration_is_negative_when_the_clock_is_set_back() -> None:
    bus = Bus()
    worker, caller = bus.peer("f"), bus.peer()
    caller.ask("f")
    own = bus.engine.tracing.start("own")
    bus.clock.jump(-3600)
    worker.answer(worker.only())
    own.end()
    ((_, tally),) = [(name, tally) for name, tally in bus.engine.registry.tallies if tally.calls]
    assert (tally.nanoseconds, tally.durations[0]) == (0, 1)
    spans = list(bus.engine.spans)
    assert len(spans) == 3
    assert all(span.start_ns <= span.end_ns for span in spans)


def test_durations_beyond_all_bounds_are_in_the_outer_buckets() -> None:
    tally = Tally()
    for nanoseconds in (-5, 0, (1 << 14) - 1, 1 << 14, 1 << 36, 1 << 60):
        tally.durations[nanoseconds.bit_length()] += 1
    spread = distribution([tally, Tally()])
    assert len(spread.counts) == len(spread.bounds) + 1
    assert (spread.counts[0], spread.counts[1], spread.counts[-1]) == (3, 1, 2)


def test_the_same_in_milliseconds() -> None:
    tally = Tally()
    tally.durations[20] += 1
    tally.nanoseconds = 1_000_000
    spread = distribution([tally], 1000)
    assert spread.sum == pytest.approx(1)
    assert spread.bounds[6] == pytest.approx(1.048576)


def test_who_comes_back_counts_on() -> None:
    tallies = Tallies()
    tallies.of("f").durations[3] = 1
    tallies.of("unused")
    tallies.depart("f")
    tallies.depart("unused")
    assert [(name, tally.calls) for name, tally in tallies] == [("f", 1)]
    tallies.of("f").durations[4] = 1
    assert [(name, tally.calls) for name, tally in tallies] == [("f", 2)]
    assert tallies.of("f") is tallies.of("f")


def test_of_functions_that_are_gone_the_oldest_are_forgotten() -> None:
    tallies = Tallies()
    for number in range(DEPARTED + 1):
        tallies.of(str(number)).errors = 1
        tallies.depart(str(number))
    names = [name for name, _ in tallies]
    assert (len(names), names[0]) == (DEPARTED, "1")


def test_a_failed_call_counts_as_an_error_of_its_function() -> None:
    bus = Bus()
    worker, caller = bus.peer("f"), bus.peer()
    caller.ask("f")
    (asked,) = worker.inbox()
    worker.answer(asked, error={"code": "x", "message": ""})
    assert bus.engine.registry.tallies.of("f").errors == 1
    caller.ask("unknown")
    assert "unknown" not in dict(bus.engine.registry.tallies)
    assert bus.engine.router.counters.errors == 2
