"""Under 128 calls in flight each call is answered, once. `make million` does it a million times."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.engine import EngineProcess

from benchmarks.batching import connect
from benchmarks.echo_worker import ECHO, EchoWorker
from benchmarks.load import Plan, drive

CALLS = 20_000


@pytest.mark.promise(
    "Calls",
    "Every call gets exactly one answer: a result, or an error that says why.",
)
async def test_20_000_calls_are_each_answered_once(engine_process: EngineProcess) -> None:
    url, ready = engine_process.url, asyncio.Event()
    worker = await connect(EchoWorker(ready), url)
    await asyncio.wait_for(ready.wait(), 10)
    plan = Plan(url, ECHO, "100 B", inflight=128, watch=engine_process.pid, calls=CALLS)
    outcome = await drive(plan)
    worker.disconnect()
    assert (outcome.calls, outcome.lost, outcome.unexpected) == (CALLS, 0, 0)
    assert (outcome.errors, outcome.first_error) == (0, "")
