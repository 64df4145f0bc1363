"""Times as they are stored."""

from __future__ import annotations

import time

from agentos.kernel.clock import DAY_MS, hour_key, now_ms


def test_now_is_in_milliseconds() -> None:
    assert abs(now_ms() - time.time() * 1000) < 1000


def test_hours_are_utc() -> None:
    assert hour_key("a1", 1_700_000_000_000) == "a1:2023-11-14T22"
    assert hour_key("a1", DAY_MS - 1) == "a1:1970-01-01T23"
