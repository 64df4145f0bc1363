"""What a worker under access control may see and bind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import CallFailed, RawWorker

from iii_engine.core import ownerless
from iii_engine.core.access import Access, Rules
from iii_engine.core.filters import read_filter
from iii_engine.core.grants import Grant
from iii_engine.core.registrations import Registrations

RULES = Rules(expose=(read_filter('match("open::*")'), read_filter('match("engine::*")')))

Guest = Callable[[Grant], Awaitable[RawWorker]]


@pytest.fixture
async def admit(engine: RunningEngine, named: RawWorker) -> AsyncIterator[Guest]:
    """Connects guarded workers, beside a trusted one with two functions and a trigger on each."""
    await named.register("open::f")
    await named.register("closed::f")
    await named.register_trigger("state", "open::f", {"scope": "s"}, id="seen")
    await named.register_trigger("state", "closed::f", {"scope": "s"}, id="hidden")
    guests: list[RawWorker] = []

    async def admit(grant: Grant) -> RawWorker:
        guest = await RawWorker(engine.url).__aenter__()
        guests.append(guest)
        session = engine.core.sessions[guest.id]
        session.access = Access(RULES, grant, engine.core.registry)
        session.registrations = Registrations(engine.core, session, session.access)
        return guest

    yield admit
    for guest in guests:
        await guest.close()


@pytest.fixture
async def guest(admit: Guest) -> RawWorker:
    """May call what begins with `open::` or `engine::`, and bind `state` triggers."""
    return await admit(Grant(allowed_trigger_types=frozenset({"state"})))


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


async def test_binding_needs_the_functions_that_the_config_names(guest: RawWorker) -> None:
    config = {"scope": "s", "condition_function_id": "closed::f"}
    request = {"trigger_type": "state", "function_id": "open::f", "config": config}
    with pytest.raises(CallFailed) as caught:
        await guest.call("engine::register_trigger", request)
    assert caught.value.code == "FORBIDDEN"
    assert "$.config.condition_function_id" in str(caught.value)


async def test_triggers_without_owner_are_bounded(
    named: RawWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownerless, "MAX_TRIGGERS", 1)
    request = {"trigger_type": "state", "function_id": "open::f", "config": {}}
    await named.call("engine::register_trigger", request)
    with pytest.raises(CallFailed) as caught:
        await named.call("engine::register_trigger", request)
    assert caught.value.code == "registration_limit"


async def test_removing_needs_the_trigger(admit: Guest, named: RawWorker) -> None:
    """What nobody owns is its maker's party's; that a function may be called is not enough."""
    grant = Grant(allowed_trigger_types=frozenset({"state"}))
    guest, twin, other = await admit(grant), await admit(grant), await admit(Grant())
    ownerless = {"trigger_type": "state", "config": {"scope": "s"}}
    for name in ("open", "closed"):
        request = {**ownerless, "id": f"free-{name}", "function_id": f"{name}::f"}
        await named.call("engine::register_trigger", request)
    for trigger_id in ("hidden", "seen", "free-closed", "free-open"):
        with pytest.raises(CallFailed) as caught:
            await guest.call("engine::unregister_trigger", {"id": trigger_id})
        assert caught.value.code == "FORBIDDEN"
    request = {**ownerless, "id": "free-own", "function_id": "open::f"}
    await guest.call("engine::register_trigger", request)
    with pytest.raises(CallFailed):
        await other.call("engine::unregister_trigger", {"id": "free-own"})
    assert await twin.call("engine::unregister_trigger", {"id": "free-own"}) == {"removed": True}
    assert await named.call("engine::unregister_trigger", {"id": "free-open"}) == {"removed": True}
    await guest.register_trigger("state", "open::f", {"scope": "s"}, id="own")
    assert await guest.call("engine::unregister_trigger", {"id": "own"}) == {"removed": True}
    assert await named.call("engine::unregister_trigger", {"id": "seen"}) == {"removed": True}


async def test_a_trigger_without_owner_is_replaced_by_the_party_that_made_it(
    admit: Guest, named: RawWorker
) -> None:
    grant = Grant(allowed_trigger_types=frozenset({"state"}))
    guest, twin, other = await admit(grant), await admit(grant), await admit(Grant())
    request = {"trigger_type": "state", "function_id": "open::f", "config": {}, "id": "t"}
    await named.call("engine::register_trigger", request)
    with pytest.raises(CallFailed) as caught:
        await guest.call("engine::register_trigger", request)
    assert caught.value.code == "FORBIDDEN"
    await named.call("engine::unregister_trigger", {"id": "t"})
    await guest.call("engine::register_trigger", request)
    assert await twin.call("engine::register_trigger", request) == {"id": "t"}
    with pytest.raises(CallFailed) as caught:
        await other.call("engine::register_trigger", request)
    assert caught.value.code == "FORBIDDEN"
    assert await named.call("engine::register_trigger", request) == {"id": "t"}
    with pytest.raises(CallFailed) as caught:
        await guest.call("engine::register_trigger", request)
    assert caught.value.code == "FORBIDDEN"


async def test_a_prefix_is_added_to_bound_functions(admit: Guest, named: RawWorker) -> None:
    guest = await admit(Grant(prefix="open::mine"))
    await guest.register("f")
    request = {"trigger_type": "state", "function_id": "f", "config": {"scope": "s"}}
    made = await guest.call("engine::register_trigger", request)
    row = await named.call("engine::registered-triggers::info", made)
    assert row["function_id"] == "open::mine::f"


async def test_events_without_owner_are_filtered_too(admit: Guest, named: RawWorker) -> None:
    guest = await admit(Grant())
    await guest.register("open::listener")
    request = {"trigger_type": "engine::functions-available", "function_id": "open::listener"}
    await guest.call("engine::register_trigger", request)
    await named.register("closed::new")
    event = (await guest.invoked("open::listener"))["data"]
    ids = {row["function_id"] for row in event["functions"]}
    assert ids == {"open::f", "open::listener"}
