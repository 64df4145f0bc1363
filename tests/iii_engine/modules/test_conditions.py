"""Conditions of triggers, on a whole engine: the same for every source of events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker

#: Trigger type, config, and the call that makes an event; cron makes its own.
SOURCES = {
    "state": ({"scope": "s"}, ("state::set", {"scope": "s", "key": "k", "value": 1})),
    "subscribe": ({"topic": "t"}, ("publish", {"topic": "t", "data": 1})),
    "stream": (
        {"stream_name": "s"},
        ("stream::set", {"stream_name": "s", "group_id": "g", "item_id": "i", "data": 1}),
    ),
    "durable:subscriber": ({"topic": "t"}, ("iii::durable::publish", {"topic": "t", "data": 1})),
    "cron": ({"expression": "* * * * * *"}, None),
}


async def cause(worker: RawWorker, source: str) -> None:
    _, call = SOURCES[source]
    if call is not None:
        await worker.call(*call)


async def bind(worker: RawWorker, source: str) -> None:
    config, _ = SOURCES[source]
    await worker.register("handler")
    await worker.register_trigger(source, "handler", {**config, "condition_function_id": "asked"})


def handled(worker: RawWorker) -> list[Any]:
    return [f for f in worker.frames if f.get("function_id") == "handler" and "data" in f]


@pytest.mark.parametrize("answer", [0, None, "", {}])
@pytest.mark.parametrize("source", SOURCES)
async def test_modules_case_21_anything_but_false_runs_the_handler(
    engine: RunningEngine, source: str, answer: Any
) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.register("asked")
        await bind(worker, source)
        await cause(worker, source)
        await worker.answer(await worker.invoked("asked"), answer)
        await worker.answer(await worker.invoked("handler"))


@pytest.mark.parametrize("source", SOURCES)
async def test_modules_case_21_false_does_not(engine: RunningEngine, source: str) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.register("asked")
        await bind(worker, source)
        await cause(worker, source)
        await worker.answer(await worker.invoked("asked"), False)
        await worker.settle()
        assert handled(worker) == []


@pytest.mark.parametrize("source", [s for s in SOURCES if s != "durable:subscriber"])
async def test_modules_case_22_without_the_condition_the_handler_does_not_run(
    engine: RunningEngine, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A queue tries again; the others leave a line in the log."""
    async with RawWorker(engine.url) as worker:
        await bind(worker, source)
        await cause(worker, source)
        async with asyncio.timeout(10):
            while "asked" not in caplog.text:
                await worker.settle()
        assert handled(worker) == []
