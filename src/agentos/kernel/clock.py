"""Times as they are stored: epoch milliseconds, UTC."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

#: Gives the time now in epoch milliseconds; tests hand in their own.
Clock = Callable[[], int]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def hour_key(owner: str, at_ms: int) -> str:
    """The key of the counter of one hour: `<owner>:<YYYY-MM-DDTHH>`, UTC."""
    return f"{owner}:{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H}"
