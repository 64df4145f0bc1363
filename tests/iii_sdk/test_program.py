"""Workers as programs of their own."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

PROGRAM = """
import asyncio
from iii_sdk import Worker, run

first, second = Worker("first"), Worker("second")

@first.function("p::slow")
async def slow():
    await asyncio.sleep(0.2)
    return "finished"

@second.function("p::other")
async def other():
    return "other"

run(first, second)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_running_calls_finish(engine, wait_until, number):
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env={"III_URL": engine.url}
    )
    registry = engine.core.registry
    await wait_until(lambda: "p::slow" in registry and "p::other" in registry)
    assert await engine.call("p::other") == "other"
    call = asyncio.create_task(engine.call("p::slow"))
    await wait_until(lambda: any(s.session.active for s in engine.sockets))
    program.send_signal(number)
    assert await call == "finished"
    async with asyncio.timeout(10):
        assert await program.wait() == 0
