from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iii_engine.core.queue_limits import Meter, Rate


def test_a_burst_and_then_one_after_another() -> None:
    meter = Meter(Rate(3, 1000))
    starts, now = [], 0
    for _ in range(6):
        now = max(now, meter.free_ms())
        meter.start(now)
        starts.append(now)
    assert starts == [0, 0, 0, 334, 667, 1000]
    assert meter.idle_ms() == 2000


@given(
    st.integers(1, 50),
    st.integers(1, 5000),
    st.lists(st.integers(0, 3000), min_size=5, max_size=60),
)
def test_no_period_has_more_than_a_burst_and_its_share(
    limit: int, period: int, gaps: list[int]
) -> None:
    meter, now, starts = Meter(Rate(limit, period)), 0, []
    for gap in gaps:
        now = max(now + gap, meter.free_ms())
        meter.start(now)
        starts.append(now)
    for first in starts:
        assert sum(first <= start < first + period for start in starts) <= 2 * limit
