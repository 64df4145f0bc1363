"""Making many spans without keeping the loop from its calls."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from iii_engine.core.spans import Span
from iii_engine.core.tracing import SpanRing

#: Records that are made spans in one turn of the loop, which takes about two milliseconds.
BATCH: Final = 500


def gather(
    ring: SpanRing, loop: asyncio.AbstractEventLoop, then: Callable[[list[Span]], None]
) -> None:
    """Call `then` with all spans, oldest first: now if there are few, else some turns later."""
    records, found = deque(ring.records()), list[Span]()
    capacity = ring.capacity

    def go_on() -> None:
        for _ in range(min(BATCH, len(records))):
            found.extend(records.popleft().spans())
        if records:
            loop.call_soon(go_on)
        else:
            then(found[-capacity:])

    go_on()
