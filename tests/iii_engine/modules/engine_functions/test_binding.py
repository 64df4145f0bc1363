"""Case numbers are those of the engine-modules spec."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker

REGISTER = "engine::register_trigger"
UNREGISTER = "engine::unregister_trigger"


def on_state(**fields: Any) -> dict[str, Any]:
    return {"trigger_type": "state", "function_id": "f", "config": {"scope": "s"}, **fields}


async def test_modules_case_27_registered_once_and_removed_once(worker: RawWorker) -> None:
    await worker.register("f")
    id = (await worker.call(REGISTER, on_state()))["id"]
    await worker.call("state::set", {"scope": "s", "key": "k", "value": 1})
    event = await worker.invoked("f")
    assert event["data"]["new_value"] == 1
    assert await worker.call(UNREGISTER, {"id": id}) == {"removed": True}
    assert await worker.call(UNREGISTER, {"id": id}) == {"removed": False}


async def test_modules_case_27_a_cron_trigger_runs_its_function(worker: RawWorker) -> None:
    await worker.register("f")
    every_second = {"expression": "* * * * * *"}
    trigger = {"trigger_type": "cron", "function_id": "f", "config": every_second}
    id = (await worker.call(REGISTER, trigger))["id"]
    await worker.answer(await worker.invoked("f"))
    assert await worker.call(UNREGISTER, {"id": id}) == {"removed": True}


async def test_it_outlives_the_connection_that_made_it(
    engine: RunningEngine, worker: RawWorker
) -> None:
    async with RawWorker(engine.url) as short:
        assert await short.call(REGISTER, on_state(id="mine")) == {"id": "mine"}
    await worker.register("f")
    await worker.call("state::set", {"scope": "s", "key": "k", "value": 1})
    await worker.invoked("f")


async def test_the_other_spelling(worker: RawWorker) -> None:
    request = {"type": "state", "function": "f", "config": {"scope": "s"}}
    id = (await worker.call("engine::triggers::register", request))["id"]
    (row,) = (await worker.call("engine::triggers::list", {}))["triggers"]
    assert (row["id"], row["function_id"], row["trigger_type"]) == (id, "f", "state")


async def test_the_type_must_fit_when_it_is_given(worker: RawWorker) -> None:
    await worker.call(REGISTER, on_state(id="t"))
    assert await worker.call(UNREGISTER, {"id": "t", "trigger_type": "cron"}) == {"removed": False}
    assert await worker.call(UNREGISTER, {"id": "t", "trigger_type": "state"}) == {"removed": True}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (on_state(function_id=" "), "trigger_registration_failed"),
        (on_state(trigger_type=""), "trigger_registration_failed"),
        (on_state(config={"scope": 3}), "trigger_registration_failed"),
        ({"trigger_type": "state"}, "deserialization_error"),
    ],
)
async def test_refused_registrations_change_nothing(
    worker: RawWorker, request_: dict[str, Any], code: str
) -> None:
    with pytest.raises(CallFailed) as caught:
        await worker.call(REGISTER, request_)
    assert caught.value.code == code
    assert (await worker.call("engine::triggers::list", {}))["triggers"] == []


async def test_a_trigger_of_a_worker_is_not_taken_over(worker: RawWorker) -> None:
    await worker.register_trigger("state", "f", {"scope": "s"}, id="t")
    with pytest.raises(CallFailed, match="trigger t belongs to a worker"):
        await worker.call(REGISTER, on_state(id="t"))
