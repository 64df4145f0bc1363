"""What programs of the newer generation, and of the state and stream modules, import."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.otlp import plain, span
from tests.support.waiting import until

from iii_sdk import III
from iii_sdk.compat import telemetry
from iii_sdk.compat.results import dump
from iii_sdk.compat.state import StateEventData, StateEventType, StateUpdateInput
from iii_sdk.helpers import http, observability, queue, stream, worker_connection_manager


@pytest.mark.parametrize(
    ("operation", "wire"),
    [
        (stream.UpdateSet(path="a", value=1), {"type": "set", "path": "a", "value": 1}),
        (stream.UpdateIncrement(path="n", by=2), {"type": "increment", "path": "n", "by": 2}),
        (stream.UpdateDecrement(path="n", by=0.5), {"type": "decrement", "path": "n", "by": 0.5}),
        (stream.UpdateAppend(path="l", value="x"), {"type": "append", "path": "l", "value": "x"}),
        (stream.UpdateRemove(path="a"), {"type": "remove", "path": "a"}),
        (
            stream.UpdateMerge(path=["a", "b"], value={"c": 1}),
            {"type": "merge", "path": ["a", "b"], "value": {"c": 1}},
        ),
        (stream.UpdateMerge(value={}), {"type": "merge", "path": None, "value": {}}),
    ],
)
def test_operations_are_what_the_engine_reads(
    operation: stream.UpdateOp, wire: dict[str, object]
) -> None:
    update = StateUpdateInput(scope="s", key="k", ops=[operation])
    assert json.loads(dump(update)) == {"scope": "s", "key": "k", "ops": [wire]}
    assert operation.model_dump() == wire


def test_events_of_the_state_are_read() -> None:
    payload = {"type": "state", "event_type": "state:created", "scope": "s", "key": "k"}
    event = StateEventData.model_validate({**payload, "old_value": None, "new_value": {"n": 1}})
    assert event.event_type is StateEventType.CREATED
    assert event.new_value == {"n": 1}


@pytest.mark.parametrize("module", [http, observability, queue, stream, worker_connection_manager])
def test_everything_promised_is_there(module) -> None:
    assert all(hasattr(module, name) for name in module.__all__)


async def test_listeners_and_address(engine) -> None:
    iii = III(engine.url)
    states: list[str] = []
    remove = iii.add_connection_state_listener(states.append)
    assert states[0] in ("disconnected", "connecting")
    assert iii.get_address() == engine.url
    await until(lambda: "connected" in states)
    remove()
    await asyncio.to_thread(iii.shutdown)


async def test_the_current_span(engine) -> None:
    iii = III(engine.url)

    @iii.function("n::f")
    async def f(data) -> bool:
        observability.set_current_span_attribute("n", 1)
        observability.record_span_event("seen", {"x": "y"})
        observability.set_current_span_error("not quite")
        return observability.current_span_is_recording()

    await iii.connect_async()
    await until(lambda: "n::f" in engine.core.registry)
    assert await engine.call("n::f") is True
    await asyncio.to_thread(iii.shutdown)
    found = span(engine, "call n::f")
    assert found is not None
    assert plain(found["attributes"]) == {"n": "1"}
    assert [event["name"] for event in found["events"]] == ["seen"]
    assert found["status"] == {"code": 2, "message": "not quite"}
    assert not observability.current_span_is_recording()
    await observability.flush_otel()
    await telemetry.shutdown_otel_async()
