"""Case numbers are those of the engine-modules spec unless the name says `wire`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from msgspec import Raw
from tests.support.bus import Bus
from tests.support.engine import RunningEngine
from tests.support.pieces import Loop
from tests.support.raw_worker import RawWorker

from iii_engine.core.triggers import Trigger
from iii_engine.core.turns import Turns
from iii_engine.modules.engine_functions.events import FunctionsAvailable
from iii_sdk.protocol import NULL


async def test_modules_case_26_functions_available(
    engine: RunningEngine, worker: RawWorker
) -> None:
    await worker.register("listener")
    await worker.register_trigger("engine::functions-available", "listener", metadata={"m": 1})
    async with RawWorker(engine.url) as other:
        for id in ("a", "b", "c"):
            await other.send("registerfunction", id=id)
        event = await worker.invoked("listener")
        ids = [row["function_id"] for row in event["data"]["functions"]]
        assert event["data"]["event"] == "functions_changed"
        assert {"a", "b", "c", "listener"} <= set(ids)
        assert not [id for id in ids if id.startswith("engine::")]
        assert event["metadata"] == {"m": 1}
    event = await worker.invoked("listener")
    assert "a" not in [row["function_id"] for row in event["data"]["functions"]]


async def test_a_change_that_is_undone_at_once_is_not_told(worker: RawWorker) -> None:
    await worker.register("listener")
    await worker.register_trigger("engine::functions-available", "listener")
    await worker.invoked("listener")
    await worker.send("registerfunction", id="brief")
    await worker.send("unregisterfunction", id="brief")
    await worker.settle()
    await worker.send("registerfunction", id="late")
    event = await worker.invoked("listener")
    ids = [row["function_id"] for row in event["data"]["functions"]]
    assert "late" in ids
    assert "brief" not in ids


async def test_wire_case_21_workers_available(engine: RunningEngine, worker: RawWorker) -> None:
    await worker.register("listener")
    await worker.register_trigger("engine::workers-available", "listener")
    async with RawWorker(engine.url) as other:
        await other.call("engine::workers::register", {"name": "other", "pid": 1})
    events = [(await worker.invoked("listener"))["data"] for _ in range(3)]
    assert events == [
        {"event": event, "worker_id": other.id}
        for event in ("worker_connected", "worker_metadata_updated", "worker_disconnected")
    ]


async def test_an_unbound_listener_hears_nothing(engine: RunningEngine, worker: RawWorker) -> None:
    await worker.register("listener")
    id = await worker.register_trigger("engine::workers-available", "listener")
    await worker.send("unregistertrigger", id=id)
    await worker.settle()
    async with RawWorker(engine.url):
        await worker.settle()
    assert [f for f in worker.frames if f["type"] == "invokefunction"] == []


async def test_a_listener_that_fails_disturbs_nobody(
    engine: RunningEngine, worker: RawWorker
) -> None:
    await worker.register_trigger("engine::workers-available", "not there")
    await worker.register("listener")
    await worker.register_trigger("engine::workers-available", "listener")
    async with RawWorker(engine.url):
        invocation = await worker.invoked("listener")
        await worker.fail(invocation, "oops", "on purpose")
    assert (await worker.invoked("listener"))["data"]["event"] == "worker_disconnected"


@pytest.mark.parametrize("answer", [False, True])
async def test_a_condition_may_hold_an_event_back(
    engine: RunningEngine, worker: RawWorker, answer: bool
) -> None:
    await worker.register("listener")
    await worker.register("asked")
    config = {"condition_function_id": "asked"}
    await worker.register_trigger("engine::workers-available", "listener", config)
    async with RawWorker(engine.url) as other:
        question = await worker.invoked("asked")
        assert question["data"] == {"event": "worker_connected", "worker_id": other.id}
        await worker.answer(question, answer)
        await worker.settle()
        heard = [f for f in worker.frames if f["type"] == "invokefunction"]
        assert [f["function_id"] for f in heard] == ["listener"] * answer


class Clockless:
    """A loop on which everything is due at once."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        call()


def test_however_often_functions_change_one_trigger_is_told_at_a_time() -> None:
    bus, loop = Bus(), Loop()
    source = FunctionsAvailable(
        bus.engine, cast(asyncio.AbstractEventLoop, Clockless()), Turns(loop.soon)
    )
    listeners = [bus.peer(f"listener{n}") for n in range(3)]
    for number, _ in enumerate(listeners):
        trigger = Trigger(str(number), source.type.id, f"listener{number}", Raw(b"{}"), NULL, None)
        source.type.bind(trigger)
    source.start()
    for number in range(10):
        bus.peer(f"f{number}")
    turns = 0
    while loop.turn():
        turns += 1
    told = [frame["data"] for listener in listeners for frame in listener.inbox()]
    assert turns == len(told) == 4  # the one under way is told again of what came meanwhile
    assert {len(event["functions"]) for event in told} == {13}
