from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iii_engine.core.queue_limits import MOMENTS, Meter, Rate


def test_as_many_as_may_start_and_then_as_many_when_their_period_is_over() -> None:
    meter = Meter(Rate(3, 1000))
    starts, now = [], 0
    for _ in range(6):
        now = max(now, meter.free_ms())
        meter.start(now)
        starts.append(now)
    assert starts == [0, 0, 0, 1000, 1000, 1000]
    assert meter.idle_ms() == 2000


def test_those_that_start_one_by_one_go_on_one_by_one() -> None:
    meter = Meter(Rate(2, 1000))
    for now in (0, 600):
        assert meter.free_ms() <= now
        meter.start(now)
    assert meter.free_ms() == 1000
    meter.start(1000)
    assert meter.free_ms() == 1600


def test_a_rate_takes_the_same_memory_however_many_may_start() -> None:
    meter = Meter(Rate(10**6, 1000))
    for now in range(100_000):
        meter.start(now // 10)
    assert len(meter._moments) <= MOMENTS + 2


@given(
    st.integers(1, 50),
    st.integers(1, 5000),
    st.lists(st.integers(0, 3000), min_size=5, max_size=60),
)
def test_no_period_has_more_than_it_may(limit: int, period: int, gaps: list[int]) -> None:
    meter, now, starts = Meter(Rate(limit, period)), 0, []
    for gap in gaps:
        now = max(now + gap, meter.free_ms())
        meter.start(now)
        starts.append(now)
    for first in starts:
        assert sum(first <= start < first + period for start in starts) <= limit
