"""What a worker under access control may see and bind."""

from __future__ import annotations

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker


class Guest:
    """May call what begins with `open::` or `engine::`, and bind `state` triggers."""

    def may_call(self, function_id: str) -> bool:
        return function_id.startswith(("open::", "engine::"))

    def may_bind(self, trigger_type: str) -> bool:
        return trigger_type == "state"

    def may_register_functions(self) -> bool:
        return True

    def may_register_trigger_types(self) -> bool:
        return False


@pytest.fixture
async def guest(engine: RunningEngine, worker: RawWorker, named: RawWorker) -> RawWorker:
    """A connection with the rights of a `Guest`, beside a trusted one with two functions."""
    engine.core.sessions[worker.id].access = Guest()
    await named.register("open::f")
    await named.register("closed::f")
    await named.register_trigger("state", "open::f", {"scope": "s"}, id="seen")
    await named.register_trigger("state", "closed::f", {"scope": "s"}, id="hidden")
    return worker


async def test_lists_show_what_may_be_called(guest: RawWorker, named: RawWorker) -> None:
    rows = (await guest.call("engine::functions::list", {}))["functions"]
    assert [row["function_id"] for row in rows] == ["open::f"]
    triggers = (await guest.call("engine::triggers::list", {}))["triggers"]
    assert [row["id"] for row in triggers] == ["seen"]
    info = await guest.call("engine::workers::info", {"worker_id": named.id})
    assert [row["function_id"] for row in info["functions"]] == ["open::f"]
    assert info["worker"]["functions"] == ["open::f"]
    (row,) = (await guest.call("engine::workers::list", {"worker_id": named.id}))["workers"]
    assert (row["functions"], row["function_count"]) == (["open::f"], 1)
    assert [row["id"] for row in info["registered_triggers"]] == ["seen"]


async def test_details_of_the_rest_are_not_found(guest: RawWorker) -> None:
    for function_id, query in (
        ("engine::functions::info", {"function_id": "closed::f"}),
        ("engine::registered-triggers::info", {"id": "hidden"}),
    ):
        with pytest.raises(CallFailed) as caught:
            await guest.call(function_id, query)
        assert caught.value.code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("trigger_type", "function_id"), [("http", "open::f"), ("state", "closed::f")]
)
async def test_binding_needs_the_type_and_the_function(
    guest: RawWorker, trigger_type: str, function_id: str
) -> None:
    request = {"trigger_type": trigger_type, "function_id": function_id, "config": {}}
    with pytest.raises(CallFailed) as caught:
        await guest.call("engine::register_trigger", request)
    assert caught.value.code == "FORBIDDEN"


async def test_removing_needs_the_function(guest: RawWorker) -> None:
    with pytest.raises(CallFailed) as caught:
        await guest.call("engine::unregister_trigger", {"id": "hidden"})
    assert caught.value.code == "FORBIDDEN"
    assert await guest.call("engine::unregister_trigger", {"id": "seen"}) == {"removed": True}
