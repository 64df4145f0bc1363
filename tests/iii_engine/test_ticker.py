from __future__ import annotations

import asyncio

from tests.support.waiting import until

from iii_engine.core.clock import SeededIds, SystemClock, VirtualClock
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


async def test_a_timer_that_is_set_later_is_met_in_time() -> None:
    engine = Engine(SystemClock(), SeededIds(1))
    loop = asyncio.get_running_loop()
    ticker = Ticker(engine, loop)
    began, met = loop.time(), loop.create_future()
    engine.timers.after(5, met.cancel)
    engine.timers.after(0.02, lambda: met.set_result(loop.time() - began))
    assert 0.02 <= await met < 0.09  # before the next look that is due without it
    ticker.stop()
    engine.timers.after(0, lambda: None)
