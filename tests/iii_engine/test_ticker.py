from __future__ import annotations

import asyncio

from tests.support.waiting import until

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.ticker import Ticker
from iii_sdk.protocol import ErrorBody


async def test_deadlines_are_met_and_stopping_stops() -> None:
    clock = VirtualClock()
    engine = Engine(clock, SeededIds(1))
    engine.add_function("never", lambda call: None, module="m")
    errors: list[ErrorBody | None] = []
    ticker = Ticker(engine, asyncio.get_running_loop())
    engine.call("never", b"{}", lambda result, error: errors.append(error), timeout_ms=50)
    clock.advance(1)
    await until(lambda: errors)
    assert errors[0] is not None
    assert errors[0].code == "timeout"
    ticker.stop()
    engine.call("never", b"{}", lambda result, error: errors.append(error), timeout_ms=50)
    clock.advance(1)
    await asyncio.sleep(0.15)  # longer than any step: the time must pass for nothing to happen
    assert len(errors) == 1
