"""Ending a worker without cutting off what it is doing."""

from __future__ import annotations

import asyncio

from agentos.kernel.draining import Drain


async def test_nothing_under_way_ends_at_once() -> None:
    drain = Drain()
    await drain.close(60)
    assert drain.closing


async def test_waits_for_the_last_one() -> None:
    drain = Drain()
    with drain.counted():
        with drain.counted():
            closing = asyncio.create_task(drain.close(60))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not closing.done()
    await closing
    assert drain.running == 0


async def test_does_not_wait_for_ever() -> None:
    drain = Drain()
    with drain.counted():
        await drain.close(0.01)
    assert drain.running == 0
