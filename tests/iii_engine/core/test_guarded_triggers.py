"""Triggers of guarded sessions reach no more than their makers (wire protocol 10.3)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.bus import Bus, Peer, replying

from iii_engine.core.access import Rules
from iii_engine.core.filters import read_filter
from iii_engine.core.grants import Grant

RULES = Rules(expose=(read_filter('match("open::*")'),))


def bind(
    peer: Peer, function_id: str, trigger_type: str = "state", id: str = "t", config: Any = None
) -> Any:
    """Register a trigger; the error code, or None."""
    peer.tell(
        "registertrigger",
        id=id,
        trigger_type=trigger_type,
        function_id=function_id,
        config=config,
    )
    codes = [m["error"]["code"] for m in peer.inbox() if m.get("error")]
    return codes[0] if codes else None


@pytest.fixture
def bus() -> Bus:
    bus = Bus()
    bus.peer("open::f", "closed::f")
    return bus


def test_the_type_must_be_allowed(bus: Bus) -> None:
    guest = bus.guarded(RULES, Grant(allowed_trigger_types=frozenset({"state"})))
    assert bind(guest, "open::f", "http") == "FORBIDDEN"
    assert bind(guest, "open::f", "state") is None
    assert bind(bus.guarded(RULES, Grant()), "open::f", "http", "all") is None


@pytest.mark.parametrize("kind", ["stream:join", "log"])
def test_what_concerns_everybody_must_be_allowed_by_name(bus: Bus, kind: str) -> None:
    assert bind(bus.guarded(RULES, Grant()), "open::f", kind) == "FORBIDDEN"
    allowed = Grant(allowed_trigger_types=frozenset({kind}))
    assert bind(bus.guarded(RULES, allowed), "open::f", kind) is None
    assert bind(bus.guarded(Rules(guarded=False)), "open::f", kind, id="trusted") is None


def test_the_function_must_be_its_own_or_callable(bus: Bus) -> None:
    guest = bus.guarded(RULES, Grant())
    guest.offer("mine")
    assert bind(guest, "mine", id="own") is None
    assert bind(guest, "open::later", id="later") is None
    for function_id in ("closed::f", "missing", "engine::functions::list"):
        assert bind(guest, function_id, id="bad") == "FORBIDDEN"
    assert {t.id for t in bus.engine.triggers} == {"own", "later"}


@pytest.mark.parametrize(
    "config",
    [
        {"condition_function_id": "closed::f"},
        {"_condition_path": "closed::f", "condition_function_id": "open::f"},
        {"middleware_function_ids": ["open::f", "closed::f"]},
        {"condition_function_id": "closed::f", "middleware_function_ids": 1},
    ],
)
@pytest.mark.promise(
    "Access control", "A trigger has the engine call nothing that its maker may not call itself."
)
def test_the_functions_that_its_config_names_must_be_callable_too(
    bus: Bus, config: dict[str, Any]
) -> None:
    guest = bus.guarded(RULES, Grant())
    guest.tell("registertrigger", id="t", trigger_type="x", function_id="open::f", config=config)
    error = guest.only()["error"]
    assert error["code"] == "FORBIDDEN"
    assert (
        f"$.config.{next(k for k, v in config.items() if 'closed' in str(v))}" in error["message"]
    )
    assert "closed::f" in error["message"]
    assert list(bus.engine.triggers) == []
    assert bind(bus.peer(), "open::f", config=config) is None


@pytest.mark.parametrize("config", [None, 1, {"condition_function_id": "open::f"}])
def test_other_configs_are_left_to_the_type(bus: Bus, config: Any) -> None:
    guest = bus.guarded(RULES, Grant())
    guest.offer("mine")
    assert bind(guest, "mine", config=config) is None
    assert bind(guest, "mine", id="u", config={"middleware_function_ids": ["mine"]}) is None


def test_a_condition_that_others_take_over_strands_the_trigger(bus: Bus) -> None:
    guest = bus.guarded(RULES, Grant())
    guest.offer("check")
    assert bind(guest, "open::f", config={"condition_function_id": "check"}) is None
    bus.peer("check")
    assert list(bus.engine.triggers) == []
    assert guest.only()["error"]["code"] == "FORBIDDEN"


def test_the_prefix_applies(bus: Bus) -> None:
    guest = bus.guarded(RULES, Grant(prefix="p"))
    guest.offer("mine")
    assert bind(guest, "mine") is None
    assert bind(guest, "open::f", id="foreign") == "FORBIDDEN"  # means p::open::f
    trigger = bus.engine.triggers.get("t")
    assert trigger is not None
    assert trigger.function_id == "p::mine"


def test_the_triggers_of_others_are_not_replaced(bus: Bus) -> None:
    owner, guest = bus.peer(), bus.guarded(RULES, Grant())
    assert bind(owner, "open::f") is None
    assert bind(guest, "open::f") == "FORBIDDEN"
    trigger = bus.engine.triggers.get("t")
    assert trigger is not None
    assert trigger.owner is owner.session
    assert bind(guest, "open::f", id="mine") is None
    again = bus.guarded(RULES, Grant())  # the same worker, come back
    assert bind(again, "open::f", id="mine") is None
    guest.close()
    assert bus.engine.triggers.get("mine") is not None


def test_a_function_that_others_take_over_strands_the_trigger(bus: Bus) -> None:
    guest = bus.guarded(RULES, Grant())
    guest.offer("pay", "open::g")
    assert bind(guest, "pay") is None
    assert bind(guest, "open::g", id="open") is None
    bus.guarded(RULES, Grant()).offer("pay")  # another instance of it
    assert bus.engine.triggers.get("t") is not None
    bus.peer("pay", "open::g")
    told = guest.only()
    assert (told["id"], told["error"]["code"]) == ("t", "FORBIDDEN")
    assert [t.id for t in bus.engine.triggers] == ["open"]


def test_a_function_of_a_module_strands_it_too(bus: Bus) -> None:
    guest = bus.guarded(RULES, Grant())
    guest.offer("pay")
    assert bind(guest, "pay") is None
    bus.engine.add_function("pay", replying(1), module="m")
    assert list(bus.engine.triggers) == []
